import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Where the first click earns by an order, those after it are kept with the buyer too. */
export class ClicksOfOrders1765139010000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`alter table order_referral add column touches jsonb not null default '[]'`);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
