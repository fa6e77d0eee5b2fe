import type { MigrationInterface, QueryRunner } from 'typeorm';

/** When the owner last let a sequence go on that was paused for what came back of it: what they have judged. */
export class JudgedSequences1766190100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table sequence_pause add column judged_at timestamptz');
    await runner.query(
      `update sequence_pause set judged_at = resumed_at where resumed_at is not null and reason <> 'paused by the owner'`,
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
