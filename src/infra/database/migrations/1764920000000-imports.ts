import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Imports of subscribers. The rows of a file are copied into `import_row` first, in one transaction, so that a run may
 * stop anywhere and go on from `cursor_line`; those that came to nothing stay for the report. A file whose columns the
 * owner has yet to name waits in `import_file`, in pieces.
 */
const IMPORTS = `
create table import_job (
  id bigint generated always as identity primary key, file_name text not null,
  state text not null check (state in ('waiting', 'mapping', 'reading', 'ready', 'running', 'checked', 'done', 'cancelled')),
  dry_run boolean not null, options jsonb not null, source jsonb, preview jsonb, advice jsonb not null default '{}',
  total_rows int not null default 0, last_line int not null default 0, cursor_line int not null default 0,
  counts jsonb not null default '{}', created_at timestamptz not null, staged_at timestamptz, started_at timestamptz,
  ended_at timestamptz, cleaned_at timestamptz);
create index import_job_open on import_job (id) where state in ('reading', 'ready', 'running');

create table import_row (
  import_id bigint not null references import_job (id) on delete cascade, line int not null,
  email text, email_key text, email_hash bytea, name text, status text, time_zone text, locale text,
  fields jsonb, tags text[], lists text[], created_at timestamptz, consent_text text, consent_at timestamptz,
  consent_ip inet, confirmed_at timestamptz, confirmed_ip inet, left_at timestamptz, tracking_consent boolean,
  outcome text, problem text, cells text[], primary key (import_id, line));

create table import_file (
  import_id bigint not null references import_job (id) on delete cascade, place int not null, bytes bytea not null,
  primary key (import_id, place));
alter table import_file alter bytes set storage external;
`;

export class Imports1764920000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(IMPORTS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
