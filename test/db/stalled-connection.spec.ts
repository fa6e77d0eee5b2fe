import { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isDatabaseAway } from '../../src/infra/database/lost-connection.js';
import { PromptClient, StallWatch, type StallTimes } from '../../src/infra/database/stall-watch.js';
import { Remembered } from '../../src/infra/remembered.js';
import { DatabaseProxy } from '../fault/database-proxy.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

/** The watch asks soon; its question may take the slowest machine some time, and has an answer unless all is silent. */
const PATIENT = { quietMs: 150, answerMs: 15_000 };
const PROMPT = { quietMs: 150, answerMs: 500 };

describe('a database that hangs', () => {
  let database: TestDatabase;
  let proxy: DatabaseProxy;
  const pools: Pool[] = [];

  /** Its questions go through the proxy, those of its watch, too. */
  const open = (times: StallTimes): { pool: Pool; one: () => Promise<unknown> } => {
    const url = new URL(database.url);
    url.port = String(proxy.address.port);
    const pool = new Pool({
      ...{ connectionString: url.href, max: 2, Client: PromptClient },
      onConnect: new StallWatch(url.href, times).onConnect,
    });
    pool.on('error', () => undefined);
    pools.push(pool);
    return { pool, one: async () => (await pool.query('select 1 as one')).rows[0] as unknown };
  };

  beforeAll(async () => {
    database = await createTestDatabase();
    const { hostname, port } = new URL(database.url);
    proxy = new DatabaseProxy(() => ({ host: hostname, port: Number(port) }), Math.random);
    await proxy.listen();
  });

  afterAll(async () => {
    await Promise.all(pools.map(async (pool) => pool.end()));
    await proxy.close();
    await database.drop();
  });

  it('bounds the wait for a new connection also where TypeORM makes it, which names no bound', () => {
    const bound = Reflect.get(
      new PromptClient({ connectionTimeoutMillis: undefined }),
      '_connectionTimeoutMillis',
    );
    expect(bound).toBe(10_000);
  });

  it('answers whoever waits with an error in bounded time, also those who wait for a connection, and recovers', async () => {
    const { one } = open(PROMPT);
    const cache = new Remembered(one, 0);
    expect(await cache.get()).toEqual({ one: 1 });
    await Promise.all([one(), one()]);
    proxy.silence({ connections: 'all' });
    const waiting = [cache.get(), cache.get(), one()];
    const ends = await Promise.allSettled(waiting);
    expect(ends.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    expect(ends[0]).toMatchObject({ reason: { message: 'PostgreSQL does not answer' } });
    expect(ends.map((end) => end.status === 'rejected' && isDatabaseAway(end.reason))).toEqual([
      true,
      true,
      true,
    ]);
    proxy.speak();
    expect(await cache.get()).toEqual({ one: 1 });
  });

  it('ends a transaction whose connection has fallen silent while others are answered', async () => {
    const { pool, one } = open(PATIENT);
    const client = await pool.connect();
    await client.query('begin');
    proxy.silence({ connections: 'present' });
    const error: unknown = await client.query('select 1').catch((cause: unknown) => cause);
    expect(error).toMatchObject({ message: 'an answer of PostgreSQL was lost' });
    const next: unknown = await client.query('select 1').catch((cause: unknown) => cause);
    expect([isDatabaseAway(error), isDatabaseAway(next)]).toEqual([true, true]);
    client.release(true);
    expect(await one()).toEqual({ one: 1 });
  });

  it('leaves a statement alone that PostgreSQL works on for long, and a client that asks nothing', async () => {
    const { pool } = open(PATIENT);
    const idle = await pool.connect();
    const slow = await pool.query(`select 1 as one from pg_sleep(0.7)`);
    expect(slow.rows).toEqual([{ one: 1 }]);
    expect((await idle.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    idle.release();
  });
});
