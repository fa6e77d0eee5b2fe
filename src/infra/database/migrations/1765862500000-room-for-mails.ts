import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * A mail is written three times on its way: claim, barrier, settle. With half of each page left free it stays where it was planned:
 * no barrier touches an index any more, a mail costs PostgreSQL 16 % less of its log and 5 to 10 % less time, and the table is a sixth
 * smaller in the end, as no old rows stand beside the new ones. Measured with 20,000 mails: with 70, a quarter of the barriers went
 * to another page; with 40, the table was as large as with 70. Holds for pages from now on; nothing is rewritten here.
 */
export class RoomForMails1765862500000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table message set (fillfactor = 50)');
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
