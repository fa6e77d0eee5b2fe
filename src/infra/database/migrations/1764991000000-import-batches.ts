import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The batches of imports under way, each done when it has counts. A cursor let one connection work on an import, and so
 * one processor.
 */
const BATCHES = `
create table import_batch (
  import_id bigint not null references import_job (id) on delete cascade, from_line int not null, to_line int not null,
  counts jsonb, primary key (import_id, from_line));
insert into import_batch (import_id, from_line, to_line)
  select j.id, n, n + 10000 from import_job j cross join generate_series(
    j.cursor_line, (select max(line) from import_row where import_id = j.id) - 1, 10000) n where j.state = 'running';
alter table import_job drop column cursor_line;
`;

export class ImportBatches1764991000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(BATCHES);
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
