import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The mail behind a notification of Amazon SES, which names it by the reply with which it was taken (hash: written once, when
 * the mail was taken). Mails that other relays took are not in it.
 */
export class AmazonReplies1765716000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `create index message_amazon on message using hash (reply_text)
       where state in ('accepted', 'unknown') and reply_text like '250 Ok %-000000'`,
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
