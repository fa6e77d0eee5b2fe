import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The mailbox provider whose complaints in all have once paused a broadcast. Of earlier pauses nobody knows. */
export class PausedForProvider1765820000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table broadcast add column paused_for_provider text');
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
