import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The latest end that any mail of a broadcast tells its reader; null where none tells one, as most that offer something at
 * its usual price. It says which broadcasts have to be looked at for what one reader was promised, which else takes longer
 * with each broadcast about the offer. What earlier ones told is not looked up in a ledger of millions: they count as
 * without an end, and are looked at as before.
 */
const TOLD_UNTIL = `
alter table broadcast_offer add column told_until timestamptz;
update broadcast_offer set told_until = 'infinity';
drop index broadcast_offer_slug;
create index broadcast_offer_told on broadcast_offer (offer_slug, told_until);
`;

export class ToldUntil1765460000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(TOLD_UNTIL);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
