import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Topics that somebody of a table wants no mails about, and until when they want none at all. */
export class ImportedChoices1765801000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      'alter table import_row add column topics_off text[], add column paused_until timestamptz',
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
