import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A mail whose first try is unclear and whose second was refused is unknown, and its address counts as refused all the same. */
const REFUSED_SECOND_TIME = `
drop index message_refused;
create index message_refused on message (settled_at) where state in ('rejected', 'unknown') and reply_code is not null;
`;

export class RefusedSecondTime1765101000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(REFUSED_SECOND_TIME);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
