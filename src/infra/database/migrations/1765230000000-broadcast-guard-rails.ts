import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Arms of a broadcast's split test that broke a guard rail, and when those were looked at last. */
export class BroadcastGuardRails1765230000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `alter table broadcast add column stopped_arms jsonb not null default '[]', add column looked_at timestamptz`,
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
