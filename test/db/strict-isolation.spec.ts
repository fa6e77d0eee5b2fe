import { Client } from 'pg';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
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
