import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * How many mails were put off is asked by monitors again and again. Written to only for a mail that is put off; its condition
 * names no column that no other index names, so what PostgreSQL writes in place it still does.
 */
export class PutOffMails1765830000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `create index message_put_off on message (due_at) where state = 'ready' and reply_code between 400 and 499`,
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
