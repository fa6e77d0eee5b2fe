import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { Inject, Injectable } from '@nestjs/common';
import type { Agenda, Job as Row, JobParameters, JobRepository } from 'agenda';
import type { Logger } from 'pino';
import type { Job } from './job.js';
import { JobRegistry } from './job-registry.js';
import { describeError, JobRunner } from './job-runner.js';
import type { JobStore } from './job-store.js';
import { JOBS_CONFIG, JOBS_LOGGER } from './jobs-config.js';
import type { JobsConfig } from './jobs-config.js';

const DEFAULT_TICK_MS = 2000;
/** A lock is taken up to one tick before the run and may cover two runs (see the runner's deadline). */
const LEAST_TICKS_PER_LOCK = 5;
/**
 * A lock lasts this long unless its holder says that it is still there, so this is how long the ticks of a process that
 * was killed stand still.
 */
const LOCK_LIFE_MS = 30_000;
/** A holder that is busy, or whose store is away for a moment, must not lose the lock by one late word. */
const BEATS_PER_LOCK_LIFE = 6;
const CLOCK_CHECK_MS = 30_000;
/** Agenda looks for each job on every tick: while its store is away, one line in this time says so. */
const STORE_TROUBLE_LOG_MS = 30_000;
const MIN_DRAIN_MS = 1;

/**
 * Ticks the registered jobs through Agenda. Agenda is used for nothing else: its rows are one per job name, and
 * losing them costs ticks. Several processes may tick on one store; a tick is given to one of them, or to a second
 * one when the first outlives its lock, hence the rule that every job is safe to run twice at once.
 */
@Injectable()
export class Scheduler {
  readonly #owner = `${hostname().slice(0, 60)}-${process.pid}-${randomUUID().slice(0, 8)}`;
  #agenda: Agenda | null = null;
  #store: JobStore | null = null;
  #started = false;
  #troubleLoggedMs = -Infinity;
  #clockCheck: NodeJS.Timeout | undefined;

  constructor(
    @Inject(JOBS_CONFIG) private readonly config: JobsConfig,
    private readonly registry: JobRegistry,
    private readonly runner: JobRunner,
    @Inject(JOBS_LOGGER) private readonly logger: Logger,
  ) {}

  /**
   * Called once, by the worker process, after all modules have registered their jobs: Agenda never runs a job that
   * is defined after it has started. Rejects, with nothing left open, when the store cannot be reached or a
   * job's lock is too short for the tick.
   */
  async start(): Promise<void> {
    if (this.#started) throw new Error('the scheduler has already been started');
    const jobs = this.registry.all();
    for (const job of jobs) this.#checkLock(job);
    this.registry.close();
    this.#started = true;
    const { Agenda } = await import('agenda');
    const store = await newStore(this.config, this.logger);
    this.#store = store;
    try {
      await store.open();
      const agenda = this.#newAgenda(Agenda, store, jobs);
      if (jobs.length > 0) await agenda.purge();
      for (const job of jobs) await store.putRow(job.name, Math.max(1, Math.round(job.everySeconds * 1000)));
      await this.#forgetFuture();
      await agenda.start();
      this.#agenda = agenda;
      this.#clockCheck = setInterval(() => void this.#forgetFuture(), CLOCK_CHECK_MS);
    } catch (error) {
      this.#store = null;
      this.#started = false;
      await store.close(this.#owner).catch(() => {});
      throw new Error(`the job store (${store.name}) cannot be used: ${describeError(error).message}`, {
        cause: error,
      });
    }
    this.logger.info({ jobs: jobs.length, store: store.name }, 'scheduler started');
  }

  /**
   * Begins no further run, tells the running ones to stop, waits `timeoutMs` at most, closes the store. Answers
   * with the jobs that did not stop in time; their locks stay until they run out. Also right when never started:
   * then it drains the runs that wake-ups began.
   */
  async drain(timeoutMs: number): Promise<{ stillRunning: string[] }> {
    const timeout = Math.max(MIN_DRAIN_MS, timeoutMs);
    clearInterval(this.#clockCheck);
    const [stillRunning] = await Promise.all([
      this.runner.drain(timeout),
      // Agenda writes the end of each run to its store after our part has ended, so it needs its own wait. It
      // leaves locked jobs that wait for their moment locked; closing the store gives those back.
      this.#agenda?.drain({ timeout, closeConnection: false }),
    ]);
    this.#agenda = null;
    const store = this.#store;
    this.#store = null;
    this.#started = false;
    await store?.close(this.#owner).catch((error: unknown) => {
      this.logger.warn(
        { error: describeError(error) },
        'job locks could not be given back, they run out by themselves',
      );
    });
    return { stillRunning };
  }

  get #tickMs(): number {
    return this.config.tickMs ?? DEFAULT_TICK_MS;
  }

  #checkLock(job: Job): void {
    const leastSeconds = (LEAST_TICKS_PER_LOCK * this.#tickMs) / 1000;
    if (job.lockSeconds < leastSeconds) {
      throw new Error(`lockSeconds of job ${job.name} must be at least ${leastSeconds}`);
    }
  }

  #newAgenda(agendaClass: typeof Agenda, store: JobStore, jobs: Job[]): Agenda {
    const agenda = new agendaClass({
      name: this.#owner,
      processEvery: this.#tickMs,
      defaultConcurrency: 1,
      // No job ever waits for another one: a job that waits in Agenda's queue uses up its lock there.
      maxConcurrency: Math.max(1, jobs.length),
      // Agenda's constructor connects and does not catch: the store is already open, so there is nothing to fail.
      backend: {
        name: store.name,
        repository: givingBackQuietly(store.repository, (error) => this.#logTrouble(error)),
        ownsConnection: false,
        connect: async () => {},
        disconnect: async () => {},
      },
    });
    agenda.on('error', (error: unknown) => this.#logTrouble(error));
    for (const job of jobs) {
      const lockLifetime = this.#lockLifeMs(job);
      agenda.define(job.name, (row, done) => void this.#tick(job, row, done), {
        lockLifetime,
        concurrency: 1,
      });
    }
    return agenda;
  }

  /** Never ends with an error: Agenda would keep the error's text in its store. */
  async #tick(job: Job, row: Row, done: () => void): Promise<void> {
    const letGo = this.#keepLock(job, row);
    await this.runner.run(job.name);
    await letGo();
    done();
  }

  /**
   * Renews the lock until the answer is called, for the job's `lockSeconds` at most: a run that hangs loses it. A lock
   * that was lost stays lost, the job is safe to run twice.
   */
  #keepLock(job: Job, row: Row): () => Promise<void> {
    const endMs = performance.now() + job.lockSeconds * 1000;
    let renewing: Promise<void> = Promise.resolve();
    const timer = setInterval(
      () => {
        if (performance.now() > endMs) clearInterval(timer);
        else renewing = row.touch().catch((error: unknown) => this.#logTrouble(error));
      },
      this.#lockLifeMs(job) / BEATS_PER_LOCK_LIFE,
    );
    return async () => {
      clearInterval(timer);
      // Or it could be written after the run's end, which gives the lock back.
      await renewing;
    };
  }

  #lockLifeMs({ lockSeconds }: Job): number {
    return Math.min(lockSeconds * 1000, Math.max(LOCK_LIFE_MS, LEAST_TICKS_PER_LOCK * this.#tickMs));
  }

  /** Ticks are written by each host's own clock: one that is an hour ahead would silence the others for an hour. */
  async #forgetFuture(): Promise<void> {
    try {
      const jobs = (await this.#store?.forgetFuture(new Date())) ?? 0;
      if (jobs > 0)
        this.logger.warn({ jobs }, 'jobs were put off by a host whose clock is wrong, they run now');
    } catch (error) {
      this.#logTrouble(error);
    }
  }

  #logTrouble(error: unknown): void {
    const nowMs = performance.now();
    if (nowMs - this.#troubleLoggedMs < STORE_TROUBLE_LOG_MS) return;
    this.#troubleLoggedMs = nowMs;
    this.logger.warn({ error: describeError(error) }, 'trouble with the job store, ticks may be late');
  }
}

/** Agenda and the drivers of its stores are loaded by who ticks jobs alone: they cost a command a sixth of its start. */
async function newStore({ mongoUri, databaseUrl }: JobsConfig, logger: Logger): Promise<JobStore> {
  if (mongoUri) {
    const { MongoJobStore } = await import('./mongo-job-store.js');
    return new MongoJobStore(mongoUri);
  }
  const { PostgresJobStore } = await import('./postgres-job-store.js');
  return new PostgresJobStore(databaseUrl, logger);
}

/**
 * Agenda gives locks back without waiting for it and without looking at what becomes of it: in the moment the store is
 * away, the rejection would end the process. The lock then runs out by itself.
 */
export function givingBackQuietly(repository: JobRepository, tell: (error: unknown) => void): JobRepository {
  return new Proxy(repository, {
    get(target, key): unknown {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      if (key === 'unlockJob') return async (job: JobParameters) => target.unlockJob(job).catch(tell);
      return value.bind(target) as unknown;
    },
  });
}
