import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * `leavings_keeper`: processes that keep leavings on disk while the database takes none, each with its word that all it has kept
 * by then is known here. `waiting_leaving`: what is known of those who left and cannot be taken off the list yet.
 */
export class LeavingsKnown1766100000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table leavings_keeper (
        process uuid primary key, folder text not null, place text not null,
        good_until timestamptz not null, held_ms float8 not null default 0, held_at timestamptz);
      create table waiting_leaving (
        subscriber_id bigint not null, message_id bigint not null, reader_id bigint, via text not null, at timestamptz not null,
        noted_at timestamptz not null, tried_at timestamptz not null, primary key (message_id, subscriber_id))`);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
