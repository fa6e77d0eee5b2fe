import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Columns that were written and that nobody has read. */
const UNREAD_COLUMNS = `
alter table import_job drop column last_line;
alter table experiment_period drop column since;
`;

export class UnreadColumns1764970000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(UNREAD_COLUMNS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
