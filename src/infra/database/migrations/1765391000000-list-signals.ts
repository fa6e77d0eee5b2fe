import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Lists that sequences ask for, and who came to be on one or was taken off it, until the sequences have heard of it. */
const signals = `
create table listened_list (name text primary key);
create table list_signal (
  id bigint generated always as identity primary key, subscriber_id bigint not null, name text not null,
  kind text not null check (kind in ('list', 'unlisted')),
  created_at timestamptz not null);
`;

export class ListSignals1765391000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(signals);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
