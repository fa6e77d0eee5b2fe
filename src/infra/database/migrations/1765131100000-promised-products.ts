import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A price was promised for a product: an offer that sells another one by now does not sell it for that. */
const PROMISED_PRODUCTS = 'alter table enrollment_offer add column product_id bigint;';

export class PromisedProducts1765131100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(PROMISED_PRODUCTS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
