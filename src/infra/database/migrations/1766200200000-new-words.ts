import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Versions of the words of a broadcast that its owner has changed in a pause, each with the one that mails get in its place
 * when they come up; and when that was last. The mails themselves, a million of them perhaps, stay as they are until then.
 */
export class NewWords1766200200000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table broadcast add column reworded jsonb, add column reworded_at timestamptz');
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
