import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { copyIn } from '../infra/database/copy-in.js';
import { pgPool } from '../infra/database/pg-pool.js';
import { addressHashHex } from '../subscribers/address-hash.js';
import { FieldsService } from '../subscribers/fields.service.js';
import { ListsService } from '../subscribers/lists.service.js';
import { TopicsService } from '../subscribers/topics.service.js';
import { DomainError } from '../values/domain-error.js';
import { type Columns, readTables } from './columns.js';
import type { CsvRecord } from './csv.js';
import type { ImportAdvice, ImportJob, ImportOptions, ImportPreview, ImportSource } from './import-job.js';
import { type RowOptions, type RowRead, readRow } from './import-row.js';
import { SAME_ADDRESS } from './report-csv.js';
import { COPY_ROWS, noesLine, personLine, refusedLine } from './staged-row.queries.js';
import { openTable, tablesIn } from './table-files.service.js';

export interface Staged {
  source: ImportSource;
  advice: ImportAdvice;
  totalRows: number;
  refused: number;
  duplicates: number;
}

/** Told now and then while rows are read. */
export type OnProgress = (rows: number) => void;

/** Reads the file of an import into `import_row`, in one transaction: all of it is there, or nothing. */
@Injectable()
export class StagingService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly fields: FieldsService,
    private readonly lists: ListsService,
    private readonly topics: TopicsService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Holds the import's row locked meanwhile. Throws `IMPORT_FILE_INVALID` for a file without a column for the address,
   * and `IMPORT_STATE_CONFLICT` when the import has its rows already.
   */
  async stage(
    { id, options, fileName }: Pick<ImportJob, 'id' | 'options' | 'fileName'>,
    path: string,
    onProgress: OnProgress = () => undefined,
  ): Promise<Staged> {
    const opened = await this.open(path, fileName, options);
    try {
      const tables = await this.readable(opened, options);
      const rows = new RowsOfImport(id, this.config.secretKey, onProgress);
      const duplicates = await this.copy(id, rows.lines(tables));
      return {
        source: { ...sourceOf(tables, rows.before), unknownTopics: [...rows.unknownTopics] },
        ...{ advice: rows.advice, totalRows: rows.total, refused: rows.refused, duplicates },
      };
    } finally {
      for (const { batches } of opened) await batches.return(undefined);
    }
  }

  /** What there is to read, with the first rows of each table, and what its columns would be. Throws `IMPORT_FILE_INVALID`. */
  async preview(
    path: string,
    { fileName, options }: Pick<ImportJob, 'fileName' | 'options'>,
  ): Promise<ImportPreview> {
    const opened = await this.open(path, fileName, options);
    try {
      return {
        tables: opened.map(({ name, headers, firstRows }) => ({
          ...{ name, headers: headers.slice(0, MAX_SHOWN_COLUMNS) },
          samples: firstRows
            .slice(0, SAMPLES)
            .map((row) => ('cells' in row ? row.cells.slice(0, MAX_SHOWN_COLUMNS).map(sample) : [])),
        })),
      };
    } finally {
      for (const { batches } of opened) await batches.return(undefined);
    }
  }

  private async open(
    path: string,
    fileName: string,
    options: Pick<ImportJob['options'], 'encoding' | 'delimiter'>,
  ): Promise<OpenedTable[]> {
    const opened: OpenedTable[] = [];
    try {
      for (const file of await tablesIn(path, fileName)) opened.push(await openTable(file, options));
      return opened;
    } catch (error) {
      for (const { batches } of opened) await batches.return(undefined);
      throw error;
    }
  }

  /** What the columns of each table are. Throws `IMPORT_FILE_INVALID` naming each that cannot be. */
  async checkColumns(
    tables: readonly { name: string; headers: readonly string[] }[],
    { columns }: Pick<ImportOptions, 'columns'>,
  ): Promise<Columns[]> {
    const read = readTables(tables, columns, await this.fields.definitions());
    if (read.ok) return read.tables;
    const message = read.problems.map((problem) => `${problem.field}: ${problem.message}`).join('; ');
    throw new DomainError('IMPORT_FILE_INVALID', message, { errors: read.problems });
  }

  private async readable(opened: readonly OpenedTable[], options: ImportOptions): Promise<ReadableTable[]> {
    const read = await this.checkColumns(opened, options);
    const common = {
      ...{ definitions: await this.fields.definitions(), listKeys: await this.lists.keys() },
      topicKeys: await this.topics.keys(),
      ...{ status: options.status, dateOrder: options.dateOrder, tags: options.tags, lists: options.lists },
      ...{ hasConsent: options.consentText !== null, now: this.clock.now() },
    };
    return opened.map((table, index) => {
      const columns = read[index];
      if (!columns) throw new Error('a table without columns');
      return { ...table, columns, options: { ...common, columns } };
    });
  }

  /**
   * Answers with the number of rows left out for another with their address: of several a no is kept, unless a yes came
   * after it, else the first. The one that is kept takes over what the others do not want.
   */
  private async copy(id: string, lines: AsyncGenerator<string>): Promise<number> {
    const client = await pgPool(this.dataSource).connect();
    try {
      await client.query('begin');
      const { rows } = await client.query<{ state: string }>(
        'select state from import_job where id = $1 for update',
        [id],
      );
      if (rows[0]?.state !== 'waiting' && rows[0]?.state !== 'reading')
        throw new DomainError('IMPORT_STATE_CONFLICT', 'the import has its rows already', { id });
      await client.query('delete from import_row where import_id = $1', [id]);
      await copyIn(client, COPY_ROWS, lines);
      // Of an import that is new to them, the statistics say that it has one row; joined on this, 20,000 took minutes.
      await client.query('analyze import_row (import_id, line, email_key, problem, tags)');
      await client.query(
        `set local work_mem = '128MB'; set local jit = off; set local enable_nestloop = off`,
      );
      const { rowCount } = await client.query(
        `with several as (
           select email_key, max(confirmed_at) as agreed_at from import_row
            where import_id = $1 and problem is null group by email_key having count(*) > 1),
         ranked as (
           select v.email_key, (array_agg(r.line order by (r.status in ('bounced', 'complained')) is true desc,
               (r.status = 'unsubscribed' and not coalesce(r.left_at < v.agreed_at, false)) is true desc,
               r.status is not distinct from 'unsubscribed', r.unread is not null, r.line))[1] as kept,
               bool_and(r.tracking_consent) as counted, max(r.paused_until) as paused_until,
               coalesce(array_agg(distinct k) filter (where k is not null), '{}') as topics_off
             from several v join import_row r on r.import_id = $1 and r.problem is null and r.email_key = v.email_key
               left join lateral unnest(r.topics_off) k on true
            group by 1),
         told as (
           update import_row r set tracking_consent = s.counted, paused_until = s.paused_until, topics_off = s.topics_off
             from ranked s where r.import_id = $1 and r.line = s.kept
              and (r.tracking_consent, r.paused_until, r.topics_off) is distinct from (s.counted, s.paused_until, s.topics_off))
         update import_row r set problem = '${SAME_ADDRESS} ' || s.kept
         from ranked s where r.import_id = $1 and r.problem is null and r.email_key = s.email_key and r.line <> s.kept`,
        [id],
      );
      await client.query('commit');
      return rowCount ?? 0;
    } catch (error) {
      await client.query('rollback').catch(() => undefined);
      throw error;
    } finally {
      client.release();
      await lines.return(undefined);
    }
  }
}

type OpenedTable = Awaited<ReturnType<typeof openTable>>;
type ReadableTable = OpenedTable & { columns: Columns; options: RowOptions };

/** Of the topics that are no funnel here, so many are named to the owner. */
const MAX_NAMED_TOPICS = 5;

/** Makes COPY's lines of records and counts on the way. */
class RowsOfImport {
  total = 0;
  refused = 0;
  #lastLine = 0;
  /** Lines of the tables before each, so that every row of an archive has a line of its own. */
  readonly before: number[] = [];
  readonly unknownTopics = new Set<string>();
  readonly advice: ImportAdvice = {
    suspect: 0,
    disposable: 0,
    role: 0,
    withoutConsent: 0,
    unknownZone: 0,
    unknownLocale: 0,
    mixedEncoding: 0,
    unknownTopic: 0,
    onlyNoes: 0,
  };

  constructor(
    private readonly importId: string,
    private readonly secret: Buffer,
    private readonly onProgress: OnProgress,
  ) {}

  async *lines(tables: readonly ReadableTable[]): AsyncGenerator<string> {
    for (const { firstRows, batches, oddLines, options } of tables) {
      const before = this.#lastLine;
      this.before.push(before);
      yield firstRows.map((record) => this.#lineOf(record, before, options)).join('');
      for await (const batch of batches) {
        yield batch.map((record) => this.#lineOf(record, before, options)).join('');
        this.onProgress(this.total);
      }
      this.advice.mixedEncoding += oddLines();
    }
  }

  #lineOf(record: CsvRecord, before: number, options: RowOptions): string {
    const line = before + record.line;
    this.total += 1;
    this.#lastLine = line;
    const place = { importId: this.importId, line };
    if ('problem' in record) {
      this.refused += 1;
      return refusedLine(place, record.problem, [record.text]);
    }
    const read = readRow(record.cells, options);
    if (!read.ok) return this.#lineOfRefused(place, read, record.cells);
    const { person, advice, withoutConsent, unknownZone, unknownLocale, unknownTopics } = read;
    if (advice.suggestion !== null) this.advice.suspect += 1;
    if (advice.disposable) this.advice.disposable += 1;
    if (advice.role) this.advice.role += 1;
    if (withoutConsent) this.advice.withoutConsent += 1;
    if (unknownZone) this.advice.unknownZone += 1;
    if (unknownLocale) this.advice.unknownLocale += 1;
    this.#noteTopics(unknownTopics);
    return personLine(place, person, addressHashHex(this.secret, person.emailKey));
  }

  #noteTopics(unknown: readonly string[]): void {
    if (unknown.length === 0) return;
    this.advice.unknownTopic += 1;
    for (const topic of unknown)
      if (this.unknownTopics.size < MAX_NAMED_TOPICS) this.unknownTopics.add(topic);
  }

  /** One that says what somebody does not want is counted when that has been taken. */
  #lineOfRefused(
    place: { importId: string; line: number },
    { problem, noes }: Extract<RowRead, { ok: false }>,
    cells: readonly string[],
  ): string {
    if (noes === null) {
      this.refused += 1;
      return refusedLine(place, problem, cells);
    }
    this.advice.onlyNoes += 1;
    this.#noteTopics(noes.unknownTopics);
    return noesLine(place, noes, addressHashHex(this.secret, noes.emailKey), { problem, cells });
  }
}

function sourceOf(tables: readonly ReadableTable[], before: readonly number[]): ImportSource {
  const [first] = tables;
  const columns = new Map<string, { header: string; target: string }>();
  for (const { headers, columns: read } of tables)
    for (const [index, header] of headers.entries()) {
      const name = tables.length === 1 ? String(index) : header;
      if (!columns.has(name)) columns.set(name, { header, target: read.targets[index] ?? 'ignore' });
    }
  return {
    ...{ shape: first?.columns.shape ?? 'other', encoding: first?.encoding ?? 'utf-8' },
    ...{ delimiter: first?.delimiter ?? ',', columns: [...columns.values()] },
    ignored: [...new Set(tables.flatMap(({ columns: { ignored } }) => ignored))],
    tables: tables.map(({ name }, index) => ({ name, linesBefore: before[index] ?? 0 })),
  };
}

/** Enough to tell what a column is, and little enough to be looked at. */
const SAMPLES = 3;
const MAX_SHOWN_COLUMNS = 200;
const MAX_SAMPLE_CHARS = 60;

function sample(cell: string): string {
  const text = cell.replaceAll('\0', '').toWellFormed().trim();
  return text.length > MAX_SAMPLE_CHARS ? `${text.slice(0, MAX_SAMPLE_CHARS)}…` : text;
}
