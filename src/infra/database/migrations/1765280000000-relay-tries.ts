import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Since when a relay has been tried for nothing, and when last: mails may expire for that, and not for a relay nobody tried. */
export class RelayTries1765280000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      'alter table relay_state add column out_since timestamptz, add column tried_at timestamptz',
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
