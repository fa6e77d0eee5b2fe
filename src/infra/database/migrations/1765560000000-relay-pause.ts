import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How long a relay was last left alone: the next pause goes by it, whatever kinds of trouble follow each other. */
export class RelayPause1765560000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table relay_state add column pause_seconds integer not null default 0');
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
