import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What was accepted in the last days is found without the years before. The ledger is nearly in the order of its times, so
 * a note for each 128 pages is enough: it is made in one pass over the table, takes some kilobytes for a million mails, and
 * is written to once for a mail.
 */
export class AcceptedTimes1765220000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `create index message_accepted on message using brin (accepted_at) with (autosummarize = on) where state = 'accepted'`,
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
