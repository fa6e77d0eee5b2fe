import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import { CLOCK } from '../clock.js';
import type { Clock } from '../clock.js';
import type { Job } from './job.js';
import { JobRegistry } from './job-registry.js';
import { JOBS_LOGGER } from './jobs-config.js';

/** `refused`: no job of that name here, or the process is shutting down. */
type JobOutcome = 'done' | 'failed' | 'refused';

/** Counters since the start of the process, for metrics. */
interface JobStatistics {
  runs: number;
  failures: number;
  lastDurationMs: number;
  lastEndedAt: Date;
}

interface Slot {
  finished: Promise<JobOutcome>;
  /** The one run that was asked for while this one was under way. */
  next: Promise<JobOutcome> | null;
  abort: AbortController;
}

/**
 * A tick may have waited for a woken run of the same job before its own begins: twice this share, and the look
 * ahead of one tick, must fit into the lock.
 */
const DEADLINE_SHARE_OF_LOCK = 0.4;

/** Runs jobs by name for ticks and wake-ups alike: in one process, never two runs of one job at once. */
@Injectable()
export class JobRunner {
  readonly #slots = new Map<string, Slot>();
  readonly #statistics = new Map<string, JobStatistics>();
  #draining = false;

  constructor(
    private readonly registry: JobRegistry,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(JOBS_LOGGER) private readonly logger: Logger,
  ) {}

  /**
   * Resolves when a run that began after this call has ended; never rejects. While the job is running, all callers
   * share one further run right after it: rows written before the call are seen, however many callers there are.
   */
  run(name: string): Promise<JobOutcome> {
    const job = this.registry.get(name);
    if (!job || this.#draining) return Promise.resolve('refused');
    const slot = this.#slots.get(name);
    if (!slot) return this.#begin(job);
    slot.next ??= slot.finished.then(() => this.#beginUnlessDraining(job));
    return slot.next;
  }

  /**
   * Looks at everything once, without waiting. For the moments when ticks and wake-ups may have been missed: a process
   * that was killed, or a store that was away, leaves the ticks of its jobs locked for as long as their lock lasts.
   */
  runAll(): void {
    for (const { name } of this.registry.all()) void this.run(name);
  }

  /** What has run since the start of the process, by job name. */
  statistics(): ReadonlyMap<string, JobStatistics> {
    return this.#statistics;
  }

  /**
   * Begins no further run, aborts the signals of the running ones and waits for them, `timeoutMs` at most.
   * Answers with the names of the jobs that did not stop in time.
   */
  async drain(timeoutMs: number): Promise<string[]> {
    this.#draining = true;
    for (const slot of this.#slots.values()) slot.abort.abort();
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([Promise.all([...this.#slots.values()].map((slot) => slot.finished)), timeout]);
    clearTimeout(timer);
    return [...this.#slots.keys()];
  }

  #beginUnlessDraining(job: Job): Promise<JobOutcome> {
    if (!this.#draining) return this.#begin(job);
    this.#slots.delete(job.name);
    return Promise.resolve('refused');
  }

  #begin(job: Job): Promise<JobOutcome> {
    const slot: Slot = { finished: Promise.resolve('refused'), next: null, abort: new AbortController() };
    this.#slots.set(job.name, slot);
    // Not begun in this very call: a job that wakes itself must find its slot filled in.
    slot.finished = Promise.resolve()
      .then(() => this.#execute(job, slot.abort))
      .then((outcome) => {
        // With a next run waiting the slot stays taken, or a third caller could slip in between the two.
        if (!slot.next || this.#draining) this.#slots.delete(job.name);
        return outcome;
      });
    return slot.finished;
  }

  async #execute(job: Job, abort: AbortController): Promise<JobOutcome> {
    const limitMs = job.lockSeconds * 1000 * DEADLINE_SHARE_OF_LOCK;
    const timer = setTimeout(() => abort.abort(), limitMs);
    const startedMs = performance.now();
    let outcome: JobOutcome = 'done';
    try {
      await job.run({ deadline: this.clock.now().getTime() + limitMs, signal: abort.signal });
    } catch (error) {
      outcome = 'failed';
      this.logger.error(
        { job: job.name, error: describeError(error) },
        'job failed, its next tick runs it again',
      );
    } finally {
      clearTimeout(timer);
    }
    const durationMs = Math.round(performance.now() - startedMs);
    if (durationMs > job.lockSeconds * 1000) {
      this.logger.warn(
        { job: job.name, durationMs },
        'job ran longer than its lock and may have run twice at once',
      );
    }
    this.#count(job.name, { outcome, durationMs });
    return outcome;
  }

  #count(name: string, { outcome, durationMs }: { outcome: JobOutcome; durationMs: number }): void {
    const before = this.#statistics.get(name);
    this.#statistics.set(name, {
      runs: (before?.runs ?? 0) + 1,
      failures: (before?.failures ?? 0) + (outcome === 'failed' ? 1 : 0),
      lastDurationMs: durationMs,
      lastEndedAt: this.clock.now(),
    });
  }
}

/**
 * Code, message and frames only: database errors carry the row and the parameters of the statement, and those are
 * people's addresses.
 */
export function describeError(error: unknown): { code?: string | number; message: string; stack?: string } {
  if (!(error instanceof Error))
    return { message: typeof error === 'string' ? error : 'something that is no Error' };
  const code =
    'code' in error && (typeof error.code === 'string' || typeof error.code === 'number') ? error.code : null;
  return {
    ...(code === null ? {} : { code }),
    message: error.message,
    ...(error.stack === undefined ? {} : { stack: error.stack }),
  };
}
