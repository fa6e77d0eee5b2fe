import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Funnels that their owner has put away, with what becomes of who is in them; and sequences that nobody joins any more. */
export class ArchivedFunnels1766290100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `alter table funnel add column archived_at timestamptz, add column archived_by text, add column people_after text,
         add check ((archived_at is null) = (people_after is null)), add check (people_after in ('end', 'finish'))`,
    );
    await runner.query(
      'alter table sequence add column closed_at timestamptz, add column ends_people boolean not null default false',
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
