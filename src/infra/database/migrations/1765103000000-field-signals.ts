import type { MigrationInterface, QueryRunner } from 'typeorm';

/** As with tags: most fields mean nothing to any sequence, and a note is left of those alone that do. */
const FIELD_SIGNALS = `
create table listened_field (name text primary key);
create table field_signal (
  id bigint generated always as identity primary key, subscriber_id bigint not null, before jsonb,
  created_at timestamptz not null);
insert into listened_field
  select distinct f #>> '{}' from sequence_version, jsonb_path_query(definition, '$.**.field') f
  where jsonb_typeof(f) = 'string'
  on conflict do nothing;
`;

/** Fields that forms, confirmations and imports change, for the sequences that begin, end or wait by them. */
export class FieldSignals1765103000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(FIELD_SIGNALS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
