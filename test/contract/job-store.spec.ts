import { randomUUID } from 'node:crypto';
import type { JobParameters } from 'agenda';
import { pino } from 'pino';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../src/infra/clock.js';
import type { Job } from '../../src/infra/jobs/job.js';
import { JobRegistry } from '../../src/infra/jobs/job-registry.js';
import { JobRunner } from '../../src/infra/jobs/job-runner.js';
import { PostgresJobStore } from '../../src/infra/jobs/postgres-job-store.js';
import { givingBackQuietly, Scheduler } from '../../src/infra/jobs/scheduler.js';
import { aborted, JobRuns } from '../support/job-runs.js';
import { openMongoJobStore, openPostgresJobStore } from '../support/job-store-server.js';
import type { JobStoreServer } from '../support/job-store-server.js';

const TICK_MS = 100;
const DRAIN_MS = 10_000;
const PERIOD_SECONDS = 0.3;
/** A timer may fire a moment early. */
const LEAST_GAP_MS = PERIOD_SECONDS * 1000 - 10;
/** A lock that a stop has left behind, as it may, runs out in half a minute. */
const PATIENCE = { timeout: 90_000 };
const SILENT = pino({ level: 'silent' });

const postgres = await openPostgresJobStore();
const mongo = await openMongoJobStore();

describe('job store on PostgreSQL', PATIENCE, () => {
  contract(postgres);
});

if (typeof mongo === 'string') {
  console.warn(`LEFT OUT: job store on MongoDB. ${mongo}`);
  describe.skip(`job store on MongoDB (left out: ${mongo})`, () => {
    it('has a MongoDB', () => expect(mongo).not.toBeTypeOf('string'));
  });
} else {
  describe('job store on MongoDB', PATIENCE, () => {
    contract(mongo);
  });
}

it('a lock that cannot be given back, because the store is away, ends no process', async () => {
  const away = new PostgresJobStore('postgresql://127.0.0.1:1/nobody', SILENT);
  const told: unknown[] = [];
  const repository = givingBackQuietly(away.repository, (error) => told.push(error));
  const row = {
    _id: randomUUID(),
    name: 'test.count-runs',
    type: 'single',
    priority: 0,
    nextRunAt: null,
    data: {},
  };
  await repository.unlockJob(row as unknown as JobParameters);
  expect(told).toEqual([expect.objectContaining({ code: 'ECONNREFUSED' })]);
  await expect(repository.queryJobs({})).rejects.toThrow();
});

/** What every job store must do, on the real server behind `store`. */
function contract(store: JobStoreServer): void {
  const open: Scheduler[] = [];

  /** One worker process's scheduler; several of them on one store stand for several processes. */
  function scheduler(jobs: Job[], tickMs = TICK_MS): Scheduler {
    const registry = new JobRegistry();
    for (const job of jobs) registry.add(job);
    const runner = new JobRunner(registry, new SystemClock(), SILENT);
    const one = new Scheduler({ ...store.config, tickMs }, registry, runner, SILENT);
    open.push(one);
    return one;
  }

  function job(runs: JobRuns, values: Partial<Job> = {}): Job {
    return {
      name: 'test.count-runs',
      everySeconds: PERIOD_SECONDS,
      lockSeconds: 30,
      run: () => runs.during(),
      ...values,
    };
  }

  /**
   * A job that notes at each run when the next is due, and the time between these. However late a run begins, its row
   * says by then that none is due for a whole period.
   */
  function noting(runs: JobRuns): { noted: Job; gapsMs: () => number[] } {
    const dueMs: number[] = [];
    const note = async (): Promise<void> => {
      dueMs.push((await store.rows())[0]?.nextRunAt?.getTime() ?? NaN);
    };
    return {
      noted: job(runs, { run: () => runs.during(note) }),
      gapsMs: () => dueMs.slice(1).map((ms, index) => ms - (dueMs[index] ?? NaN)),
    };
  }

  async function until(what: () => Promise<boolean>): Promise<void> {
    const endMs = performance.now() + 40_000;
    while (!(await what())) {
      if (performance.now() > endMs) throw new Error('the store did not come to the expected state');
    }
  }

  const names = async (): Promise<string[]> => (await store.rows()).map((row) => row.name);

  afterEach(async () => {
    await Promise.all(open.splice(0).map((one) => one.drain(DRAIN_MS)));
    await store.dropJobs();
  });
  afterAll(() => store.close());

  it('runs a recurring job again and again, once in a period', async () => {
    const runs = new JobRuns();
    const { noted, gapsMs } = noting(runs);
    await scheduler([noted]).start();
    await runs.reach(5);
    expect(gapsMs().length).toBeGreaterThanOrEqual(3);
    for (const gap of gapsMs()) expect(gap).toBeGreaterThan(LEAST_GAP_MS);
  });

  it('gives each tick to one of two processes', async () => {
    const runs = new JobRuns();
    const { noted, gapsMs } = noting(runs);
    await Promise.all([scheduler([noted]).start(), scheduler([noted]).start()]);
    await runs.reach(7);
    expect(runs.mostAtOnce).toBe(1);
    expect(gapsMs().length).toBeGreaterThanOrEqual(5);
    for (const gap of gapsMs()) expect(gap).toBeGreaterThan(LEAST_GAP_MS);
  });

  it('goes on after a restart with the same row', async () => {
    const [before, after] = [new JobRuns(), new JobRuns()];
    const first = scheduler([job(before)]);
    await first.start();
    await before.reach(2);
    await first.drain(DRAIN_MS);
    const [row] = await store.rows();
    expect(row?.lockedAt).toBeNull();
    await scheduler([job(after)]).start();
    await after.reach(2);
    expect(await names()).toEqual(['test.count-runs']);
  });

  it('takes over the work of a killed process when its lock has run out, not before', async () => {
    const [killed, heir] = [new JobRuns(), new JobRuns()];
    const first = scheduler([job(killed, { lockSeconds: 1 })]);
    await first.start();
    await killed.reach(1);
    await first.drain(DRAIN_MS);
    const lockedMs = performance.now();
    await store.change('test.count-runs', { lockedAt: new Date() });
    await scheduler([job(heir, { lockSeconds: 1 })]).start();
    await heir.reach(1);
    expect((heir.startedMs[0] ?? 0) - lockedMs).toBeGreaterThan(950);
  });

  it('takes over within half a minute, however long a run may be', async () => {
    const [killed, heir] = [new JobRuns(), new JobRuns()];
    const first = scheduler([job(killed, { lockSeconds: 600 })]);
    await first.start();
    await killed.reach(1);
    await first.drain(DRAIN_MS);
    await store.change('test.count-runs', { lockedAt: new Date(Date.now() - 30_000) });
    await scheduler([job(heir, { lockSeconds: 600 })]).start();
    await heir.reach(1);
    expect(heir.mostAtOnce).toBe(1);
  });

  it('renews the lock of a run that goes on, and leaves it to a run that does not stop in time', async () => {
    const runs = new JobRuns();
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const first = scheduler([job(runs, { lockSeconds: 9, run: () => runs.during(() => held) })]);
    await first.start();
    await runs.reach(1);
    const lockedAt = async (): Promise<number> => (await store.rows())[0]?.lockedAt?.getTime() ?? 0;
    const begunAt = await lockedAt();
    await until(async () => (await lockedAt()) > begunAt + 500);
    expect(await first.drain(50)).toEqual({ stillRunning: ['test.count-runs'] });
    expect(await lockedAt()).toBeGreaterThan(begunAt);
    release();
  });

  it('runs at once what a host whose clock is ahead has locked and put off', async () => {
    const [before, after] = [new JobRuns(), new JobRuns()];
    const first = scheduler([job(before)]);
    await first.start();
    await before.reach(1);
    await first.drain(DRAIN_MS);
    const later = new Date(Date.now() + 3_600_000);
    await store.change('test.count-runs', { lockedAt: later, nextRunAt: later });
    await scheduler([job(after)]).start();
    await after.reach(2);
    expect((await store.rows())[0]?.nextRunAt?.getTime()).toBeLessThan(later.getTime() - 3_000_000);
  });

  it('runs a job again that has thrown', async () => {
    const runs = new JobRuns();
    const failing = job(runs, { run: () => runs.during(() => Promise.reject(new Error('no'))) });
    await scheduler([failing]).start();
    await runs.reach(3);
    expect(runs.mostAtOnce).toBe(1);
  });

  it('waits for a running job when it drains and begins no other', async () => {
    const [runs, witness] = [new JobRuns(), new JobRuns()];
    let finished = false;
    const first = scheduler([
      job(runs, {
        run: ({ signal }) =>
          runs.during(async () => {
            await aborted(signal);
            finished = true;
          }),
      }),
    ]);
    await first.start();
    await runs.reach(1);
    expect(await first.drain(DRAIN_MS)).toEqual({ stillRunning: [] });
    expect(finished).toBe(true);
    const [row] = await store.rows();
    expect(row?.lockedAt).toBeNull();
    // Another process's ticks measure the time in which the first one would have begun its next run.
    await scheduler([job(witness)]).start();
    await witness.reach(3);
    expect(runs.count).toBe(1);
  });

  it('names the job that does not stop in time and leaves its lock', async () => {
    const runs = new JobRuns();
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const first = scheduler([job(runs, { run: () => runs.during(() => held) })]);
    await first.start();
    await runs.reach(1);
    expect(await first.drain(50)).toEqual({ stillRunning: ['test.count-runs'] });
    expect((await store.rows())[0]?.lockedAt).toBeInstanceOf(Date);
    release();
  });

  it('gives back the lock of a run that was still to come', async () => {
    const runs = new JobRuns();
    const seldom = job(runs, { everySeconds: 3600, lockSeconds: 600 });
    const first = scheduler([seldom]);
    await first.start();
    await runs.reach(1);
    await first.drain(DRAIN_MS);
    // Near enough for the next look to lock it beforehand, and too far for the slowest machine to come to it.
    await store.change('test.count-runs', { nextRunAt: new Date(Date.now() + 50_000) });
    const second = scheduler([seldom], 60_000);
    await second.start();
    await until(async () => (await store.rows())[0]?.lockedAt !== null);
    await second.drain(DRAIN_MS);
    expect((await store.rows())[0]?.lockedAt).toBeNull();
    expect(runs.count).toBe(1);
  });

  it('does not touch the lock of a running job when another process starts', async () => {
    const [runs, witness] = [new JobRuns(), new JobRuns()];
    const long = job(runs, { lockSeconds: 600, run: ({ signal }) => runs.during(() => aborted(signal)) });
    await scheduler([long]).start();
    await runs.reach(1);
    await scheduler([long, job(witness, { name: 'test.witness' })]).start();
    // By then the other process has looked for the long one as often, whose next tick is long due.
    await witness.reach(4);
    expect((await store.rows())[0]?.lockedAt).toBeInstanceOf(Date);
    expect(runs.count).toBe(1);
  });

  it('leaves one row per name when ten processes start at once', async () => {
    const runs = new JobRuns();
    const jobs = ['test.count-runs', 'test.send-mail', 'test.clean-up'].map((name) => job(runs, { name }));
    await Promise.all(Array.from({ length: 10 }, () => scheduler(jobs).start()));
    await runs.reach(9);
    expect(await names()).toEqual(['test.clean-up', 'test.count-runs', 'test.send-mail']);
  });

  it('removes names it does not know and second rows of a name', async () => {
    const runs = new JobRuns();
    const first = scheduler([job(runs)]);
    await first.start();
    await runs.reach(1);
    await first.drain(DRAIN_MS);
    await store.insertStray(
      ['test.count-runs', 'test.count-runs', 'test.forgotten-job'],
      PERIOD_SECONDS * 1000,
    );
    await scheduler([job(runs)]).start();
    expect(await names()).toEqual(['test.count-runs']);
    await runs.reach(runs.count + 2);
  });

  it('lets nobody add a second row of a name', async () => {
    await scheduler([job(new JobRuns())]).start();
    await expect(store.insertSecond('test.count-runs')).rejects.toThrow(/duplicate key/i);
    expect(await names()).toEqual(['test.count-runs']);
  });

  it('takes a changed period over at once', async () => {
    const runs = new JobRuns();
    const slow = scheduler([job(runs, { everySeconds: 3600 })]);
    await slow.start();
    await runs.reach(1);
    await slow.drain(DRAIN_MS);
    await Promise.all([scheduler([job(runs)]).start(), scheduler([job(runs)]).start()]);
    await runs.reach(3);
    expect(runs.mostAtOnce).toBe(1);
    expect(await names()).toEqual(['test.count-runs']);
  });

  it('loses nothing but ticks when the jobs are dropped while everything is stopped', async () => {
    const [before, after] = [new JobRuns(), new JobRuns()];
    const first = scheduler([job(before)]);
    await first.start();
    await before.reach(1);
    await first.drain(DRAIN_MS);
    await store.dropJobs();
    await scheduler([job(after)]).start();
    await after.reach(3);
    expect(await names()).toEqual(['test.count-runs']);
  });
}
