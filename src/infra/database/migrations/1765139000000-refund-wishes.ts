import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A refund's key stands for what was asked for, not for its amount alone. Unknown for those told before. */
export class RefundWishes1765139000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table refund add column wish text');
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
