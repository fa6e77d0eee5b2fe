import { pino } from 'pino';
import { DataSource } from 'typeorm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { SystemClock } from '../../src/infra/clock.js';
import { JobRegistry } from '../../src/infra/jobs/job-registry.js';
import { JobRunner } from '../../src/infra/jobs/job-runner.js';
import { Scheduler } from '../../src/infra/jobs/scheduler.js';
import { Wake } from '../../src/infra/jobs/wake.js';
import { createTestDatabase } from '../support/database.js';
import type { TestDatabase } from '../support/database.js';
import { JobRuns } from '../support/job-runs.js';

const NAME = 'test.count-runs';
const SILENT = pino({ level: 'silent' });

describe('wake', () => {
  let database: TestDatabase;
  let dataSource: DataSource;
  const open: Wake[] = [];

  beforeAll(async () => {
    database = await createTestDatabase();
    dataSource = await new DataSource({ type: 'postgres', url: database.url }).initialize();
  });
  afterEach(() => Promise.all(open.splice(0).map((wake) => wake.close())));
  afterAll(async () => {
    await dataSource.destroy();
    await database.drop();
  });

  async function listener(runs: JobRuns, databaseUrl = database.url, logger = SILENT): Promise<Wake> {
    const registry = new JobRegistry();
    registry.add({ name: NAME, everySeconds: 3600, lockSeconds: 3600, run: () => runs.during() });
    const runner = new JobRunner(registry, new SystemClock(), SILENT);
    const wake = new Wake({ mongoUri: null, databaseUrl }, runner, logger);
    open.push(wake);
    await wake.listen();
    return wake;
  }

  const connections = `FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'wellspring wake'`;

  it('runs the job in every process when the transaction commits, not before and not on rollback', async () => {
    const [one, two] = [new JobRuns(), new JobRuns()];
    const wake = await listener(one);
    await listener(two);
    const rolledBack = dataSource.transaction(async (manager) => {
      await wake.notify(manager, NAME);
      throw new Error('rolled back');
    });
    await expect(rolledBack).rejects.toThrow('rolled back');
    await dataSource.transaction(async (manager) => {
      for (let call = 0; call < 5; call += 1) await wake.notify(manager, NAME);
      expect([one.count, two.count]).toEqual([0, 0]);
    });
    await Promise.all([one.reach(1), two.reach(1)]);
    // Notifications arrive in the order of commits: had an earlier one been sent, it would be counted by now.
    await wake.notify(dataSource.manager, NAME);
    await Promise.all([one.reach(2), two.reach(2)]);
    expect([one.count, two.count]).toEqual([2, 2]);
  });

  it('ignores a job that is not registered here', async () => {
    const runs = new JobRuns();
    const wake = await listener(runs);
    await wake.notify(dataSource.manager, 'test.other-job');
    await wake.notify(dataSource.manager, NAME);
    await runs.reach(1);
    expect(runs.count).toBe(1);
  });

  it('connects again after its connection was cut, and looks at once at what it may have missed', async () => {
    const runs = new JobRuns();
    const wake = await listener(runs);
    const listening = async (): Promise<number[]> => {
      const rows: { pid: number }[] = await dataSource.query(
        `SELECT pid ${connections} AND query LIKE 'LISTEN%'`,
      );
      return rows.map(({ pid }) => pid);
    };
    const [cut] = await listening();
    await dataSource.query('SELECT pg_terminate_backend($1)', [cut]);
    await expect.poll(listening).toEqual([expect.not.toSatisfy((pid) => pid === cut)]);
    await runs.reach(1);
    await wake.notify(dataSource.manager, NAME);
    await runs.reach(2);
    expect(runs.count).toBe(2);
  });

  it('leaves no connection behind when it is closed', async () => {
    const wake = await listener(new JobRuns());
    await wake.close();
    await expect.poll(async () => (await dataSource.query(`SELECT 1 ${connections}`)).length).toBe(0);
  });

  it('starts without a database and gives up when it is closed', async () => {
    const wake = await listener(new JobRuns(), 'postgresql://127.0.0.1:1/nothing');
    await expect(wake.close()).resolves.toBeUndefined();
  });
});

describe('scheduler', () => {
  function schedulerOn(databaseUrl: string, lockSeconds: number): Scheduler {
    const registry = new JobRegistry();
    registry.add({ name: NAME, everySeconds: 60, lockSeconds, run: async () => {} });
    const runner = new JobRunner(registry, new SystemClock(), SILENT);
    return new Scheduler({ mongoUri: null, databaseUrl }, registry, runner, SILENT);
  }

  it('says which store it cannot reach, and can be drained all the same', async () => {
    const scheduler = schedulerOn('postgresql://127.0.0.1:1/nothing', 60);
    await expect(scheduler.start()).rejects.toThrow(
      /job store \(PostgreSQL\) cannot be used: .*ECONNREFUSED/,
    );
    expect(await scheduler.drain(100)).toEqual({ stillRunning: [] });
  });

  it('refuses a lock that is too short for its tick', async () => {
    await expect(schedulerOn('postgresql://127.0.0.1:1/nothing', 9).start()).rejects.toThrow(
      'lockSeconds of job test.count-runs must be at least 10',
    );
  });
});
