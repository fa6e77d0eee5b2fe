import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What the owner knew when a paused broadcast was let go on does not pause it again. */
export class Resumptions1765149000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table broadcast add column resumed_at timestamptz');
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
