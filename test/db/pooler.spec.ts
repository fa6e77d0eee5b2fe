import { once } from 'node:events';
import { appendFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { durabilityProblems } from '../../src/infra/database/durable-commits.js';
import { openDataSource } from '../../src/infra/database/migrate.js';
import { poolerInWords } from '../../src/infra/database/pooler.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { DurablePostgres } from '../support/durable-postgres.js';
import { hasPgBouncer, openPgBouncer } from '../support/pgbouncer.js';

describe('what doctor says of the way to the database', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(async () => database.drop());

  const said = async (url: string): Promise<string> => {
    const db = await openDataSource(url);
    try {
      return await poolerInWords(db).catch((error: unknown) => String(error));
    } finally {
      await db.destroy();
    }
  };

  it('is good without a pooler', async () => {
    expect(await said(database.url)).toBe('each connection has a session of its own');
  });

  it(
    'is good on a server with places for three alone: it took eight, and four for the look at commits, and each start ended with the words of the driver',
    { timeout: 120_000 },
    async () => {
      // A limit of connections holds for nobody who may do everything, and others are not let in.
      const cluster = await DurablePostgres.start();
      const name = await cluster.createDatabase();
      const rules = join(cluster.dataDir, 'postgres/pg_hba.conf');
      await appendFile(rules, '\nhost all few 127.0.0.1/32 scram-sha-256\n');
      await cluster.as(name, async (client) => {
        await client.query('select pg_reload_conf()');
        await client.query(`create role few login password 'few' connection limit 3`);
      });
      const url = new URL(cluster.url(name));
      [url.username, url.password] = ['few', 'few'];
      const lasts = async (): Promise<string[]> => {
        const db = await openDataSource(url.href);
        try {
          return await durabilityProblems(db);
        } finally {
          await db.destroy();
        }
      };
      const told = await said(url.href);
      const ofThree = await lasts();
      await cluster.as(name, async (client) => client.query('alter role few connection limit 1'));
      const alone = await said(url.href);
      const ofOne = await lasts();
      await cluster.close();
      expect([ofThree, ofOne]).toEqual([[], []]);
      expect(told).toBe('each connection has a session of its own');
      // It shows nothing.
      expect(alone).toMatch(/too many connections/);
    },
  );

  describe.skipIf(!hasPgBouncer())('with PgBouncer', () => {
    it('is good where it hands out whole sessions', async () => {
      const pooler = await openPgBouncer(database.url, 'session');
      expect(await said(pooler.url)).toBe('each connection has a session of its own');
      await pooler.close();
    });

    it('is good where it takes four clients alone: each start ended with its words', async () => {
      const pooler = await openPgBouncer(database.url, 'session', 'max_client_conn = 4');
      expect(await said(pooler.url)).toBe('each connection has a session of its own');
      await pooler.close();
    });

    it('is good in a moment where it has four sessions alone: each start waited for as long as it lets a client wait', async () => {
      const few = 'default_pool_size = 4\nquery_wait_timeout = 20';
      const pooler = await openPgBouncer(database.url, 'session', few);
      const fromMs = performance.now();
      expect(await said(pooler.url)).toBe('each connection has a session of its own');
      expect(performance.now() - fromMs).toBeLessThan(10_000);
      await pooler.close();
    });

    it('is a fault where it hands out transactions', async () => {
      const pooler = await openPgBouncer(database.url, 'transaction');
      expect(await said(pooler.url)).toMatch(/hands out single transactions: .*Set pool_mode = session/);
      await pooler.close();
    });

    it('is a fault where several do so behind one address: each gave its one session to one of two connections', async () => {
      const poolers = await Promise.all([1, 2].map(async () => openPgBouncer(database.url, 'transaction')));
      const balancer = await openBalancer(poolers.map(({ url }) => Number(new URL(url).port)));
      const through = new URL(database.url);
      through.host = `127.0.0.1:${balancer.port}`;
      expect(await said(through.href)).toMatch(/hands out single transactions/);
      await balancer.close();
      for (const pooler of poolers) await pooler.close();
    });

    it('names commits that do not last where our setting went to one connection of four', async () => {
      const owner = await openDataSource(database.url);
      const name = new URL(database.url).pathname.slice(1);
      await owner.query(`alter database ${name} set synchronous_commit = off`);
      await owner.destroy();
      const pooler = await openPgBouncer(database.url, 'transaction');
      const db = await openDataSource(pooler.url);
      expect(await durabilityProblems(db)).toContainEqual(
        expect.stringMatching(/^synchronous_commit is off on [1-3] of 4 connections/),
      );
      await db.destroy();
      await pooler.close();
    });
  });
});

/** Leads each connection to the next of these ports in turn. */
async function openBalancer(ports: readonly number[]): Promise<{ port: number; close: () => Promise<void> }> {
  let count = 0;
  const server = createServer((from) => {
    const to = connect(ports[count++ % ports.length] ?? 0, '127.0.0.1');
    from.pipe(to).pipe(from);
    for (const socket of [from, to]) socket.on('error', () => [from, to].forEach((one) => one.destroy()));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = async (): Promise<void> => {
    server.close();
    await once(server, 'close');
  };
  return { port: (server.address() as AddressInfo).port, close };
}
