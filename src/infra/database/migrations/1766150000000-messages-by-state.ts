import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The API's list of mails that are held, or ended without being taken, newest first: each page is read from the index in its
 * order. Few mails come to such a state, so nearly none pays for it; for those that wait or were taken other indexes serve.
 */
export class MessagesByState1766150000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `create index message_unsent on message (state, id)
       where state in ('held', 'rejected', 'suppressed', 'expired', 'cancelled')`,
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
