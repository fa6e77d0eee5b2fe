import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Most tags mean nothing to any sequence: an import of a million people leaves a note of those alone that do. */
const signals = `
create table listened_tag (name text primary key);
create table tag_signal (
  id bigint generated always as identity primary key, subscriber_id bigint not null, name text not null,
  created_at timestamptz not null);
insert into listened_tag
  select distinct jsonb_path_query(definition, '$.** ? (@.kind == "tag").tag') #>> '{}' from sequence_version
  on conflict do nothing;
`;

/** Tags that many people get at once, for the sequences that begin, end or wait by them. */
export class TagSignals1764930000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(signals);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
