import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { Staged } from './staging.service.js';
import type { ImportCounts, ImportJob, ImportPreview, ImportState } from './import-job.js';

/** Counted while the file was read, or in full when the import is over; meanwhile those of the batches come to them. */
const COUNTS = `(select coalesce(jsonb_object_agg(key, rows), '{}') from (
    select key, sum(value::int) as rows from (
      select j.counts union all select b.counts from import_batch b where b.import_id = j.id and b.counts is not null) c
      cross join jsonb_each_text(c.counts) group by key) sums)`;

const IMPORT = `select j.id, j.file_name as "fileName", j.state, j.dry_run as "dryRun", j.options, j.source, j.preview, j.advice,
    j.total_rows as "totalRows", ${COUNTS} as counts,
    j.created_at as "createdAt", j.staged_at as "stagedAt", j.started_at as "startedAt", j.ended_at as "endedAt"
  from import_job j`;

export interface ReportedRow {
  line: number;
  reason: string;
  email: string | null;
  cells: string[] | null;
}

/** What becomes of batches that other workers hold. */
export type OfOthers = 'skipped' | 'awaited';

/** In the words of the report; what else became of a row is no reason to report it, unless a cell could not be read. */
const REASONS = `concat_ws('; ', unread, case outcome when 'suppressed' then 'the address is suppressed'
  when 'keptOut' then 'they unsubscribed, bounced or complained here' when 'skipped' then 'they are here already'
  when 'left' then 'the table says they left, and so it is'
  when 'rejected' then 'only what it says they do not want is taken' end)`;

const IN_REPORT = '(problem is not null or outcome is not null or unread is not null)';

/** The SQL of `import_job` and `import_row`. Subscribers are written by their own module. */
@Injectable()
export class ImportsQueries {
  constructor(private readonly dataSource: DataSource) {}

  async insert(job: Pick<ImportJob, 'fileName' | 'dryRun' | 'options'>, now: Date): Promise<string> {
    const rows: { id: string }[] = await this.dataSource.query(
      `insert into import_job (file_name, state, dry_run, options, created_at) values ($1, 'waiting', $2, $3, $4) returning id`,
      [job.fileName, job.dryRun, JSON.stringify(job.options), now],
    );
    return rows[0]?.id ?? '';
  }

  async find(id: string): Promise<ImportJob | null> {
    const rows: ImportJob[] = await this.dataSource.query(`${IMPORT} where j.id = $1`, [id]);
    return rows[0] ?? null;
  }

  /** Locks the row until the caller's transaction ends. */
  async lock(manager: EntityManager, id: string): Promise<ImportJob | null> {
    const rows: ImportJob[] = await manager.query(`${IMPORT} where j.id = $1 for update of j`, [id]);
    return rows[0] ?? null;
  }

  /** Newest first, below `beforeId`. */
  async page(beforeId: string | undefined, limit: number): Promise<ImportJob[]> {
    return this.dataSource.query(
      `${IMPORT} where ($1::bigint is null or j.id < $1) order by j.id desc limit $2`,
      [beforeId ?? null, limit],
    );
  }

  /** Those that a worker has something to do for, oldest first. */
  async open(): Promise<string[]> {
    const rows: { id: string }[] = await this.dataSource.query(
      `select id from import_job where state in ('reading', 'ready', 'running') order by id`,
    );
    return rows.map(({ id }) => id);
  }

  /** What reading the file has found. */
  async staged(manager: EntityManager, id: string, staged: Staged, now: Date): Promise<void> {
    const { source, advice, totalRows, refused, duplicates } = staged;
    await manager.query(
      `update import_job set source = $2, advice = $3, total_rows = $4, counts = $5, staged_at = $6 where id = $1`,
      [
        ...[id, JSON.stringify(source), JSON.stringify(advice), totalRows],
        ...[JSON.stringify({ rejected: refused, duplicate: duplicates }), now],
      ],
    );
  }

  /** The file is kept; how its columns are read is the owner's to say. */
  async awaitMapping(manager: EntityManager, id: string, preview: ImportPreview | null): Promise<void> {
    await manager.query(
      `update import_job set state = 'mapping', preview = coalesce($2, preview), counts = '{}', advice = '{}',
         started_at = null, ended_at = null where id = $1`,
      [id, preview === null ? null : JSON.stringify(preview)],
    );
    await manager.query('delete from import_row where import_id = $1', [id]);
  }

  /** As the owner said; the rows are taken by a worker. */
  async beginReading(
    manager: EntityManager,
    id: string,
    { options, dryRun }: Pick<ImportJob, 'options' | 'dryRun'>,
  ): Promise<void> {
    await manager.query(`update import_job set state = 'reading', options = $2, dry_run = $3 where id = $1`, [
      id,
      JSON.stringify(options),
      dryRun,
    ]);
  }

  async setState(
    manager: EntityManager,
    id: string,
    { state, dryRun, now }: { state: ImportState; dryRun?: boolean; now: Date },
  ): Promise<void> {
    await manager.query(
      `update import_job set state = $2, dry_run = coalesce($3, dry_run),
         started_at = case when $2 = 'running' then $4 else started_at end,
         ended_at = case when $2 in ('done', 'checked', 'cancelled') then $4 end,
         preview = case when $2 in ('done', 'cancelled') then null else preview end where id = $1`,
      [id, state, dryRun ?? null, now],
    );
  }

  /** A new run over the same rows. What refused them as they were read stands; what became of the others is asked anew. */
  async rewind(manager: EntityManager, id: string): Promise<void> {
    await manager.query(
      `update import_job j set counts = jsonb_build_object('duplicate', d.rows,
           'rejected', (select count(*) from import_row r where r.import_id = j.id and r.problem is not null) - d.rows)
         from (select coalesce((counts->>'duplicate')::int, 0) as rows from import_job where id = $1) d where j.id = $1`,
      [id],
    );
  }

  /** Cuts the lines of an import that begins into batches of at most so many rows. */
  async cut(manager: EntityManager, id: string, size: number): Promise<void> {
    await manager.query(
      `insert into import_batch (import_id, from_line, to_line)
       select $1::bigint, n, n + $2 from generate_series(0, (select max(line) from import_row where import_id = $1::bigint) - 1, $2::int) n`,
      [id, size],
    );
  }

  /**
   * The first batch that nobody has done, locked until the transaction ends; null when there is none. Those that others
   * work on are left to them, or become the caller's when their worker dies: `awaited`, null means that all are done.
   */
  async claim(
    manager: EntityManager,
    id: string,
    ofOthers: OfOthers,
  ): Promise<{ from: number; to: number } | null> {
    const rows: { from: number; to: number }[] = await manager.query(
      `select b.from_line as "from", b.to_line as "to" from import_batch b join import_job j on j.id = b.import_id
        where b.import_id = $1 and b.counts is null and j.state = 'running'
        order by b.from_line limit 1 for update of b ${ofOthers === 'skipped' ? 'skip locked' : ''}`,
      [id],
    );
    return rows[0] ?? null;
  }

  async settle(manager: EntityManager, id: string, from: number, counts: ImportCounts): Promise<void> {
    await manager.query('update import_batch set counts = $3 where import_id = $1 and from_line = $2', [
      ...[id, from, JSON.stringify(counts)],
    ]);
  }

  async hasOpenBatches(manager: EntityManager, id: string): Promise<boolean> {
    const rows: unknown[] = await manager.query(
      'select from import_batch where import_id = $1 and counts is null limit 1',
      [id],
    );
    return rows.length > 0;
  }

  /** The counts of all batches become those of the import. */
  async sumUp(manager: EntityManager, id: string): Promise<void> {
    await manager.query(`update import_job j set counts = ${COUNTS} where j.id = $1`, [id]);
    await manager.query('delete from import_batch where import_id = $1', [id]);
  }

  /** How many rows the report has. Reads all of the import. */
  async countReported(id: string): Promise<number> {
    const rows: { count: number }[] = await this.dataSource.query(
      `select count(*)::int as count from import_row where import_id = $1 and ${IN_REPORT}`,
      [id],
    );
    return rows[0]?.count ?? 0;
  }

  /** Rows that were refused or came to nothing, in the order of the file, behind `after`. */
  async report(id: string, after: number, limit: number): Promise<ReportedRow[]> {
    return this.dataSource.query(
      `select line, coalesce(problem, ${REASONS}) as reason, email, cells from import_row
       where import_id = $1 and line > $2 and ${IN_REPORT} order by line limit $3`,
      [id, after, limit],
    );
  }

  /** Those that were cancelled while their batches were under way, or before the first. */
  async cancelledWithBatches(): Promise<string[]> {
    const rows: { id: string }[] = await this.dataSource.query(
      `select id from import_job j where state = 'cancelled' and exists (select from import_batch b where b.import_id = j.id)`,
    );
    return rows.map(({ id }) => id);
  }

  /** Waits for who works on a batch, whose counts are counted as well. */
  async lockBatches(manager: EntityManager, id: string): Promise<void> {
    await manager.query('select from import_batch where import_id = $1 order by from_line for update', [id]);
  }

  /** Whether the rows that were read are still here; true of an empty table. */
  async hasRows(manager: EntityManager, { id, totalRows }: ImportJob): Promise<boolean> {
    if (totalRows === 0) return true;
    const rows: unknown[] = await manager.query('select 1 from import_row where import_id = $1 limit 1', [
      id,
    ]);
    return rows.length === 1;
  }

  /** Rows that nobody needs: those that became subscribers at once, the report after `reportBefore`, files after `fileBefore`. */
  async clean({ reportBefore, fileBefore }: { reportBefore: Date; fileBefore: Date }): Promise<void> {
    // Chosen once: one that ends while a million rows go would else count as cleaned, and keep its own for 30 days.
    const over: { id: string }[] = await this.dataSource.query(
      `select id from import_job where state in ('done', 'cancelled') and cleaned_at is null`,
    );
    const ids = over.map(({ id }) => id);
    await this.dataSource.query(
      `delete from import_row r using import_job j where j.id = r.import_id and j.id = any($1::bigint[])
         and (j.state = 'cancelled' or (r.problem is null and r.outcome is null and r.unread is null))`,
      [ids],
    );
    await this.dataSource.query(
      'update import_job set cleaned_at = ended_at where id = any($1::bigint[]) and cleaned_at is null',
      [ids],
    );
    // Files whose columns nobody named, and uploads that broke off; after a dry run the rows are enough.
    await this.dataSource.query(
      `update import_job set state = 'cancelled', ended_at = created_at
        where state in ('waiting', 'mapping') and created_at < $1`,
      [fileBefore],
    );
    await this.dataSource.query(
      `update import_job set preview = null
        where preview is not null and (state = 'cancelled' or (state = 'checked' and created_at < $1))`,
      [fileBefore],
    );
    await this.dataSource.query(
      `delete from import_file f using import_job j where j.id = f.import_id
         and (j.state in ('done', 'cancelled') or (j.state = 'checked' and j.preview is null))`,
    );
    await this.dataSource.query(
      `delete from import_row r using import_job j where j.id = r.import_id
         and coalesce(j.ended_at, j.staged_at, j.created_at) < $1`,
      [reportBefore],
    );
  }
}
