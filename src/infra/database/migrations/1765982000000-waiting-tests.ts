import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Whether a split test is still being tried, and whether anything of it was taken, is read from the index alone: a test that waits is
 * looked at every few seconds, and each look read all its mails. An accepted mail of a test stays in it.
 */
export class WaitingTests1765982000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('drop index message_broadcast_arm');
    await runner.query(
      `create index message_broadcast_arm on message (broadcast_id, arm, state, attempt, state_reason)
       where arm is not null and state in ('ready', 'held', 'leased', 'accepted', 'unknown')`,
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
