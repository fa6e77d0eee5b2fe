import type { MigrationInterface, QueryRunner } from 'typeorm';

const INDEXES = `
drop index bounce_address;
create index bounce_address on bounce (address_hash, received_at) where trusted;
create index bounce_untrusted on bounce (received_at) where not trusted;
create index message_unknown on message (id) where state = 'unknown';
create index message_held on message (state_reason, id) where state = 'held';
drop index message_unclear;
`;

/** The reaper and the end of pauses do not read each mail of a broadcast that stands still, nor a forged report the whole of `bounce`. */
export class ReportsAndHeldMails1765140000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(INDEXES);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
