import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What a step causes stops the last mails of other sequences that are over, and none of its own. Null: written before. */
export class CauseOfSignals1765141000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table sequence_signal add column enrollment_id bigint');
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
