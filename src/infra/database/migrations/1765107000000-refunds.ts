import type { MigrationInterface, QueryRunner } from 'typeorm';

const REFUNDS = `
alter table orders add column refunded_at timestamptz, add column refund_reason text;
`;

/** When the money of an order went back, and why. */
export class Refunds1765107000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(REFUNDS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
