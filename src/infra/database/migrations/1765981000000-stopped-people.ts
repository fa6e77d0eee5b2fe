import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Who is due in a sequence whose mails are paused has no time until it goes on, and is found by this then. With a time, each was
 * written anew every quarter of an hour: of 200,000 that is 80 MB of log and 8 s each time.
 */
export class StoppedPeople1765981000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `create index enrollment_stopped on enrollment (sequence_id, planned_for) where status = 'active' and next_at is null`,
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
