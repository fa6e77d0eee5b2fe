import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * When the last mail was let go that waited for a pause which the owner has ended: until then the people of the sequence stand
 * still, as their steps count from those mails.
 */
export class ReleasedPauses1766180100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table sequence_pause add column released_at timestamptz');
    await runner.query('update sequence_pause set released_at = resumed_at');
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
