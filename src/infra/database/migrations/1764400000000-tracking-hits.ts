import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What it takes to judge a hit again, hits that wait for the rest of a burst, and the batches in which hits were
 * stored: a batch that comes a second time (a crash between storing and noticing) is left alone.
 */
const HITS = `
alter table tracking_event
  add has_accept_language boolean,
  add fetch_dest text,
  add network text,
  add local boolean,
  add settles_at timestamptz,
  add earlier jsonb;
create index tracking_event_waiting on tracking_event (settles_at) where settles_at is not null;
create table tracking_batch (id uuid primary key, stored_at timestamptz not null);
create index tracking_batch_stored on tracking_batch (stored_at);
`;

/** Opens and clicks: judged in bursts, judged again, stored once. */
export class TrackingHits1764400000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(HITS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
