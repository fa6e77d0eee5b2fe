import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A broadcast has a subject of its own if it likes, and says when each of its mails is due. */
export class BroadcastTiming1764930000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `alter table broadcast add column subject text, add column timing jsonb,
         add column without_zone_count bigint not null default 0, add column hour_passed_count bigint not null default 0`,
    );
    // A broadcast used to stay open until the last of its readers came back from a pause.
    await runner.query(
      `update message set state = 'suppressed', settled_at = clock_timestamp()
       where state = 'held' and state_reason = 'paused by the reader' and broadcast_id is not null`,
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
