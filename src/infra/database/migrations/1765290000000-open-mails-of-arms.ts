import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What is left of a split test is asked for every few seconds: found without the rest of its broadcast, which may be
 * hundreds of thousands of mails that wait or go. Written to for the mails of tests only.
 */
export class OpenMailsOfArms1765290000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `create index message_broadcast_arm on message (broadcast_id, arm)
       where arm is not null and state in ('ready', 'held', 'leased')`,
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
