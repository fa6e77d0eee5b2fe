import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A reader who wants nothing for a while: while `paused_until` is set their marketing mails are held. */
export class Pauses1764820000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`alter table subscriber add column paused_until timestamptz`);
    await runner.query(
      `create index subscriber_paused on subscriber (paused_until) where paused_until is not null`,
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
