import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Everybody of a segment joins a sequence; `cursor_id` is how far it has come, up to `last_id`. */
const BULK_ENROLLMENTS = `
create table bulk_enrollment (
  id bigint generated always as identity primary key,
  sequence_id bigint not null references sequence (id) on delete cascade,
  segment_key text not null,
  conditions jsonb not null,
  step_key text,
  state text not null check (state in ('running', 'done', 'cancelled', 'failed')),
  reason text,
  counts jsonb not null,
  cursor_id bigint not null default 0,
  last_id bigint not null,
  created_at timestamptz not null,
  ended_at timestamptz
);
create index bulk_enrollment_open on bulk_enrollment (id) where state = 'running';
`;

export class BulkEnrollments1764982000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(BULK_ENROLLMENTS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
