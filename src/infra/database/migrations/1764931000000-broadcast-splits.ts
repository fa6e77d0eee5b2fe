import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Split tests of broadcasts: what is tried, the frozen words of each arm, and what came of it. */
export class BroadcastSplits1764931000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `alter table broadcast add column split jsonb, add column arm_template_ids bigint[], add column decide_at timestamptz,
         add column decision jsonb`,
    );
    // Of the mails that are part of a test; a column without a value costs a mail nothing.
    await runner.query('alter table message add column arm smallint');
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
