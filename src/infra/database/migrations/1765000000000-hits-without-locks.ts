import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The statement that stores hits takes their mails and links from the tables themselves, and neither is ever deleted. As
 * foreign keys they were looked up a second time for each hit, and each mail's row was written to keep it locked.
 */
const HITS_WITHOUT_LOCKS = `
alter table tracking_event drop constraint tracking_event_message_id_fkey, drop constraint tracking_event_link_id_fkey;
`;

export class HitsWithoutLocks1765000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(HITS_WITHOUT_LOCKS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
