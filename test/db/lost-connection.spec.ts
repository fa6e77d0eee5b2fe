import { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDataSource } from '../../src/infra/database/migrate.js';
import { onConnect, pgPool } from '../../src/infra/database/pg-pool.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

describe('a connection that the server ends between two statements of its borrower', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(async () => database.drop());

  it.each([
    ['of the application', async () => pgPool(await openDataSource(database.url))],
    ['of the job store', async () => new Pool({ connectionString: database.url, onConnect })],
  ])('does not end the process: a pool %s', async (_, open) => {
    const pool = await open();
    pool.on('error', () => undefined);
    const lent = await pool.connect();
    const { rows } = await lent.query<{ pid: number }>('select pg_backend_pid() as pid');
    const ended = new Promise((resolve) => void lent.once('end', () => resolve(true)));
    await pool.query('select pg_terminate_backend($1)', [rows[0]?.pid]);
    await ended;
    await expect(lent.query('select 1')).rejects.toThrow();
    lent.release(true);
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    await pool.end();
  });
});
