import type { MigrationInterface, QueryRunner } from 'typeorm';

const TABLE = `
create table sequence_pause (
  funnel_key text primary key, reason text not null, paused_at timestamptz not null, resumed_at timestamptz)`;

/** The mails of a sequence can be paused, as those of a broadcast are; few rows, read at each claim and barrier. */
export class SequencePauses1765149020000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(TABLE);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
