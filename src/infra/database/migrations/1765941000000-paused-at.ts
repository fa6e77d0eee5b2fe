import type { MigrationInterface, QueryRunner } from 'typeorm';

/** When a broadcast was paused last, on the application's clock: how late its mails are by that. Of pauses before, nobody knows. */
export class PausedAt1765941000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table broadcast add column paused_at timestamptz');
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
