import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What a mail promised is what the checkout asks, also when the product has another price by then. */
const PROMISED_PRICES = `
alter table enrollment_offer add column amount_minor bigint, add column currency text;
alter table enrollment_offer add check ((amount_minor is null) = (currency is null));
`;

export class PromisedPrices1765131000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(PROMISED_PRICES);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
