import { Inject, Injectable, Logger } from '@nestjs/common';
import { DatabaseError } from 'pg';
import { DataSource, type EntityManager, QueryFailedError } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { isDeadlock } from '../infra/database/deadlock.js';
import { Wake } from '../infra/jobs/wake.js';
import { createTagsOfImport, judgeRows, mergeRows } from '../subscribers/merge.queries.js';
import { DomainError } from '../values/domain-error.js';
import { notFound } from '../values/not-found.js';
import { ImportFiles } from './import-files.service.js';
import {
  IMPORT_STATES,
  type ImportCounts,
  type ImportJob,
  type ImportOptions,
  type ImportState,
} from './import-job.js';
import { ImportsQueries, type OfOthers, type ReportedRow } from './imports.queries.js';
import { type OnProgress, StagingService } from './staging.service.js';
import { DAY_MS } from '../values/time-units.js';

export const RUN_IMPORTS = 'imports.run';

/** Larger ones are no faster, and hold locks on the subscribers they change for longer. */
const BATCH = 10_000;
/** PostgreSQL works on a statement with one processor. */
const LOOPS = 2;
const MERGE_ATTEMPTS = 5;
const REPORT_DAYS = 30;
/** A file holds everybody of it, also who asks to be erased meanwhile. */
const FILE_DAYS = 1;

interface RunOptions {
  signal?: AbortSignal;
  onProgress?: OnProgress;
  toTheEnd?: boolean;
}

/** Tables of people becoming subscribers. Owns `import_job` and `import_row`. */
@Injectable()
export class ImportsService {
  readonly #logger = new Logger(ImportsService.name);

  constructor(
    private readonly dataSource: DataSource,
    private readonly queries: ImportsQueries,
    private readonly staging: StagingService,
    private readonly files: ImportFiles,
    private readonly wake: Wake,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** An import that waits for its file. A dry run counts what would become of the rows and changes nobody. */
  async create(job: { fileName: string; dryRun: boolean; options: ImportOptions }): Promise<ImportJob> {
    return this.get(await this.queries.insert(job, this.clock.now()));
  }

  /** Throws `IMPORT_NOT_FOUND`. */
  async get(id: string): Promise<ImportJob> {
    const job = await this.queries.find(id);
    if (job) return job;
    throw notFound('import', id);
  }

  async page(beforeId: string | undefined, limit: number): Promise<ImportJob[]> {
    return this.queries.page(beforeId, limit);
  }

  /**
   * Takes the rows of the file; the workers do the rest. Throws `IMPORT_FILE_INVALID`, and `IMPORT_STATE_CONFLICT` when
   * the import has a file; a file that is refused changes nothing, and another one may follow.
   */
  async takeFile(id: string, path: string, onProgress?: OnProgress): Promise<ImportJob> {
    const job = await this.get(id);
    if (job.state !== 'waiting') throw notNow(job, 'take a file');
    await this.read(job, path, onProgress);
    return this.get(id);
  }

  /**
   * Keeps a file until its owner has said what its columns are. Throws `IMPORT_FILE_INVALID` for one that is no table,
   * and `IMPORT_STATE_CONFLICT`.
   */
  async keepFile(id: string, path: string): Promise<ImportJob> {
    const job = await this.get(id);
    if (job.state !== 'waiting') throw notNow(job, 'take a file');
    const preview = await this.staging.preview(path, job);
    await this.files.keep(id, path);
    await this.change(id, 'take a file', ['waiting'], (manager) =>
      this.queries.awaitMapping(manager, id, preview),
    );
    return this.get(id);
  }

  /** Reads the file that is kept, by the options. Throws `IMPORT_FILE_INVALID` for columns that cannot be so. */
  async begin(id: string, how: Pick<ImportJob, 'options' | 'dryRun'>): Promise<ImportJob> {
    const { preview } = await this.get(id);
    await this.staging.checkColumns(preview?.tables ?? [], how.options);
    await this.change(id, 'begin', ['mapping'], async (manager) => {
      await this.queries.beginReading(manager, id, how);
      await this.wake.notify(manager, RUN_IMPORTS);
    });
    return this.get(id);
  }

  /** After a dry run: the columns may be named anew. Throws `IMPORT_STATE_CONFLICT`, also when no file is kept. */
  async remap(id: string): Promise<ImportJob> {
    await this.change(id, 'be read anew', ['checked'], async (manager, job) => {
      if (job.preview === null) throw notNow(job, 'be read anew: its file is not kept');
      await this.queries.awaitMapping(manager, id, null);
    });
    return this.get(id);
  }

  /** The real run after a dry one, over the same rows. Throws `IMPORT_STATE_CONFLICT`. */
  async runForReal(id: string): Promise<ImportJob> {
    await this.change(id, 'run', ['checked'], async (manager, job) => {
      if (!(await this.queries.hasRows(manager, job))) throw notNow(job, 'run: its rows are no longer kept');
      await this.queries.rewind(manager, id);
      await this.queries.setState(manager, id, { state: 'ready', dryRun: false, now: this.clock.now() });
      await this.wake.notify(manager, RUN_IMPORTS);
    });
    return this.get(id);
  }

  /** What was taken stays taken. Throws `IMPORT_STATE_CONFLICT` for one that is over. */
  async cancel(id: string): Promise<ImportJob> {
    const open = IMPORT_STATES.filter((state) => state !== 'done');
    await this.change(id, 'be cancelled', open, async (manager) => {
      await this.queries.setState(manager, id, { state: 'cancelled', now: this.clock.now() });
      await this.files.forget(manager, id);
    });
    return this.get(id);
  }

  /** Works on every open import until all are done or the signal says stop. */
  async runOpen(signal: AbortSignal): Promise<void> {
    for (const id of await this.queries.open()) {
      try {
        await this.run(id, { signal });
      } catch (error) {
        // The others have done nothing to deserve waiting for this one.
        const reason = error instanceof Error ? error.message : String(error);
        this.#logger.error(`import ${id} is tried again: ${reason}`);
      }
    }
  }

  /**
   * Works on one import, a batch in a transaction that also notes it as done: whatever dies in between, no row is taken
   * twice and none is left out. Safe to run in several processes at once, which then share the batches. With `toTheEnd` it
   * returns when the import is over, and not before the others have done, or have died with, the batches they hold.
   */
  async run(id: string, { signal, onProgress, toTheEnd = false }: RunOptions = {}): Promise<void> {
    const waiting = await this.get(id);
    if (waiting.state === 'reading' && !(await this.readKept(waiting, onProgress))) return;
    const job = await this.start(id);
    if (!job) return;
    const taken = { rows: sumOf(job.counts) };
    const loop = async (ofOthers: OfOthers): Promise<void> => {
      while (signal?.aborted !== true) {
        const rows = await this.takeBatch(job, ofOthers);
        if (rows === null) return;
        taken.rows += rows;
        onProgress?.(taken.rows);
      }
    };
    const ends = await Promise.allSettled(Array.from({ length: LOOPS }, async () => loop('skipped')));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    if (toTheEnd) await loop('awaited');
    await this.finish(id);
  }

  /** Null unless there are rows to take. */
  private async start(id: string): Promise<ImportJob | null> {
    return this.dataSource.transaction(async (manager) => {
      const job = await this.queries.lock(manager, id);
      if (job?.state === 'running') return job;
      if (job?.state !== 'ready') return null;
      const now = this.clock.now();
      await this.queries.cut(manager, id, BATCH);
      await this.queries.setState(manager, id, { state: 'running', now });
      if (!job.dryRun) await createTagsOfImport(manager, id, now);
      return job;
    });
  }

  /**
   * The number of rows, null when none are left for the caller. A cancelled import ends with the batches under way. When
   * somebody signs up with an address of the batch between the look at it and its merge, it is looked at again.
   */
  private async takeBatch(job: ImportJob, ofOthers: OfOthers): Promise<number | null> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.tryBatch(job, ofOthers);
      } catch (error) {
        if (attempt === MERGE_ATTEMPTS || !isCrossed(error)) throw error;
      }
    }
  }

  private async tryBatch({ id, options, dryRun }: ImportJob, ofOthers: OfOthers): Promise<number | null> {
    return this.dataSource.transaction(async (manager) => {
      const lines = await this.queries.claim(manager, id, ofOthers);
      if (!lines) return null;
      const batch = { ...lines, importId: id, existing: options.existing, now: this.clock.now() };
      const became = dryRun
        ? await judgeRows(manager, batch)
        : await mergeRows(manager, { ...batch, consentText: options.consentText });
      const counts = Object.fromEntries(became);
      await this.queries.settle(manager, id, lines.from, counts);
      return sumOf(counts);
    });
  }

  /** Whoever ends the last batch ends the import. */
  private async finish(id: string): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      const job = await this.queries.lock(manager, id);
      if (job?.state !== 'running' || (await this.queries.hasOpenBatches(manager, id))) return;
      await this.queries.sumUp(manager, id);
      const state = job.dryRun ? 'checked' : 'done';
      await this.queries.setState(manager, id, { state, now: this.clock.now() });
      if (!job.dryRun) await this.files.forget(manager, id);
    });
  }

  /** Whether the rows are here now: another process may be reading them, or the owner has cancelled. */
  private async readKept(job: ImportJob, onProgress?: OnProgress): Promise<boolean> {
    try {
      await this.files.withCopy(job.id, (path) => this.read(job, path, onProgress));
      return true;
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      if (error.code !== 'IMPORT_STATE_CONFLICT')
        await this.change(job.id, 'be read', ['reading'], (manager, { preview }) =>
          this.queries.awaitMapping(manager, job.id, {
            ...{ tables: preview?.tables ?? [], problem: error.message },
          }),
        );
      return false;
    }
  }

  /** From the file to rows that wait for a worker. */
  private async read(job: ImportJob, path: string, onProgress?: OnProgress): Promise<void> {
    const staged = await this.staging.stage(job, path, onProgress);
    await this.change(job.id, 'take rows', [job.state], async (manager) => {
      const now = this.clock.now();
      await this.queries.staged(manager, job.id, staged, now);
      await this.queries.setState(manager, job.id, { state: 'ready', now });
      await this.wake.notify(manager, RUN_IMPORTS);
    });
  }

  /** Changes an import in one of the states, with its row locked. Throws `IMPORT_NOT_FOUND`, `IMPORT_STATE_CONFLICT`. */
  private async change(
    id: string,
    action: string,
    states: readonly ImportState[],
    work: (manager: EntityManager, job: ImportJob) => Promise<void>,
  ): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      const job = await this.queries.lock(manager, id);
      if (!job) throw notFound('import', id);
      if (!states.includes(job.state)) throw notNow(job, action);
      await work(manager, job);
    });
  }

  /** How many rows `report` has. */
  async countReported(id: string): Promise<number> {
    return this.queries.countReported(id);
  }

  /** Rows that came to nothing, with the reason, in the order of the file. Throws `IMPORT_NOT_FOUND`. */
  async *report(id: string): AsyncGenerator<ReportedRow[]> {
    await this.get(id);
    for (let after = 0; ;) {
      const rows = await this.queries.report(id, after, BATCH);
      const last = rows.at(-1);
      if (!last) return;
      yield rows;
      after = last.line;
    }
  }

  /** Called by a job, hourly: addresses that nobody needs any more do not stay. */
  async clean(): Promise<void> {
    for (const id of await this.queries.cancelledWithBatches())
      await this.dataSource.transaction(async (manager) => {
        await this.queries.lockBatches(manager, id);
        await this.queries.sumUp(manager, id);
      });
    const daysAgo = (days: number): Date => new Date(this.clock.now().getTime() - days * DAY_MS);
    await this.queries.clean({ reportBefore: daysAgo(REPORT_DAYS), fileBefore: daysAgo(FILE_DAYS) });
    await this.files.sweep(daysAgo(FILE_DAYS));
  }
}

/** unique_violation of an address (PostgreSQL, appendix A), and a deadlock of two imports with the same people. */
function isCrossed(error: unknown): boolean {
  const cause: unknown = error instanceof QueryFailedError ? error.driverError : null;
  if (!(cause instanceof DatabaseError)) return false;
  return isDeadlock(error) || (cause.code === '23505' && cause.table === 'subscriber');
}

function sumOf(counts: ImportCounts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

export function notNow({ id, state }: Pick<ImportJob, 'id' | 'state'>, action: string): DomainError {
  return new DomainError('IMPORT_STATE_CONFLICT', `an import that is ${state} cannot ${action}`, {
    id,
    state,
  });
}
