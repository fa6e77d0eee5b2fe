import { Client } from 'pg';
import { pino } from 'pino';
import { DataSource } from 'typeorm';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { dataSourceOptions } from '../../config/data-source.js';
import { becomesTrue } from '../../src/infra/database/postmaster.js';
import { JOB_TABLE } from '../../src/infra/jobs/job-store.js';
import { PostgresJobStore } from '../../src/infra/jobs/postgres-job-store.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

let database: TestDatabase;
let other: Client;
let watcher: Client;
let store: PostgresJobStore;
beforeAll(async () => {
  database = await createTestDatabase();
  other = new Client({ connectionString: database.url });
  watcher = new Client({ connectionString: database.url });
  await Promise.all([other.connect(), watcher.connect()]);
  await other.query(
    `do $$ begin execute format('alter database %I set default_transaction_isolation = ''repeatable read''', current_database()); end $$`,
  );
  store = new PostgresJobStore(database.url, pino({ level: 'silent' }));
  await store.open();
});
afterAll(async () => {
  await store.close('nobody');
  await Promise.all([other.end(), watcher.end()]);
  await database.drop();
});

const isWaiting = async (): Promise<boolean> => {
  const { rows } = await watcher.query(
    `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
  );
  return rows.length > 0;
};

it('processes that start at once on a database of repeatable reads all start: one ended, as it could not serialize access', async () => {
  const row = `insert into ${JOB_TABLE} (name, type, next_run_at, repeat_interval) values ('test.clock', 'single', now(), '1000')`;
  await other.query('begin');
  await other.query(row);
  const start = store.putRow('test.clock', 1_000);
  expect(await becomesTrue(isWaiting, 20_000)).toBe(true);
  await other.query('commit');
  await start;
  const { rows } = await other.query(`select name from ${JOB_TABLE} where name = 'test.clock'`);
  expect(rows).toHaveLength(1);
});

it('what waited for a lock there sees what was committed meanwhile: it failed, or wrote by what was so before', async () => {
  const dataSource = await new DataSource(dataSourceOptions(database.url, 2)).initialize();
  try {
    await other.query('create table counter (value int); insert into counter values (1)');
    await other.query('begin');
    await other.query('update counter set value = value + 1');
    const counted = dataSource.transaction(async (manager): Promise<unknown> => {
      await manager.query('select pg_sleep(0)');
      await manager.query('update counter set value = value + 1');
      return manager.query('select value from counter');
    });
    expect(await becomesTrue(isWaiting, 10_000)).toBe(true);
    await other.query('commit');
    expect(await counted).toEqual([{ value: 3 }]);
    expect(
      await dataSource.transaction('REPEATABLE READ', async (manager) =>
        manager.query('show transaction_isolation'),
      ),
    ).toEqual([{ transaction_isolation: 'repeatable read' }]);
  } finally {
    await dataSource.destroy();
  }
});
