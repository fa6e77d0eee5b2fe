import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from '../../config/env.js';
import { startApplication } from '../../src/application.js';
import { runCommand } from '../../src/commands/wellspring.command.js';
import { awaitedDataSource } from '../../src/infra/database/awaited-data-source.js';
import { freePort } from '../../src/infra/free-port.js';
import { DatabaseFront } from '../support/database-front.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { hasPgBouncer, openPgBouncer } from '../support/pgbouncer.js';

/** As compose and supervisors do it, which start all at once. */
describe('a process that is started while its database is away', () => {
  let database: TestDatabase;
  let dataDir: string;
  let away: string;
  let port: number;
  beforeAll(async () => {
    database = await createTestDatabase();
    dataDir = await mkdtemp(join(tmpdir(), 'wellspring-awaited-'));
    port = await freePort();
    away = at(String(port));
  });
  afterAll(async () => {
    await database.drop();
    await rm(dataDir, { recursive: true });
  });

  const at = (ofPort: string, hostname = '127.0.0.1'): string =>
    Object.assign(new URL(database.url), { port: ofPort, hostname }).href;
  const variables = (url: string): Record<string, string> => ({
    ...{ HOST: '127.0.0.1', DATA_DIR: dataDir, DATABASE_URL: url },
    ...{ SMTP_URL: 'smtp://127.0.0.1:1', LOG_LEVEL: 'silent' },
  });
  const behind = (): { host: string; port: number } => {
    const url = new URL(database.url);
    return { host: url.hostname, port: Number(url.port) };
  };

  it.each(['web', 'worker'])('says so, waits, and starts when it is there (%s): it ended', async (role) => {
    const front = new DatabaseFront(behind, port);
    const said: string[] = [];
    const env = readConfig({ ...variables(away), ROLES: role, PORT: String(await freePort()) });
    let opened: Promise<unknown> = Promise.resolve();
    const application = await startApplication(env, (line) => {
      said.push(line);
      if (said.length === 1) opened = front.open();
    });
    await opened;
    expect(said[0]).toMatch(
      /^DATABASE_URL: PostgreSQL does not answer .*: waiting for it, up to 300 s more$/,
    );
    if (application.url !== null)
      expect((await fetch(`http://127.0.0.1:${env.port}/readyz`)).status).toBe(200);
    await application.stop();
    await front.close();
  });

  it('says so now and then, and gives up after its time', async () => {
    const said: string[] = [];
    const waiting = awaitedDataSource(away, (line) => said.push(line), {
      ...{ pauseMs: 1, sayEveryMs: 20, mostMs: 100 },
    });
    await expect(waiting).rejects.toMatchObject({
      code: 'DATABASE_UNREACHABLE',
      message: expect.stringMatching(/ECONNREFUSED.*Waited/),
    });
    expect(said.length).toBeGreaterThan(1);
    expect(said.length).toBeLessThan(8);
  });

  it('waits for one that ends each connection before a word, as while it starts behind a proxy', async () => {
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const ofPort = typeof address === 'object' && address !== null ? address.port : 0;
    const said: string[] = [];
    const patience = { pauseMs: 1, sayEveryMs: 0, mostMs: 50 };
    await expect(awaitedDataSource(at(String(ofPort)), (line) => said.push(line), patience)).rejects.toThrow(
      'Waited',
    );
    expect(said.length).toBeGreaterThan(0);
    server.close();
  });

  it.runIf(hasPgBouncer())(
    'waits for a pooler that has no place yet, and not for one that lets nobody in under this name: each start ended with its words',
    async () => {
      const pooler = await openPgBouncer(database.url, 'session', 'max_client_conn = 1');
      const other = new Client({ connectionString: pooler.url });
      await other.connect();
      const said: string[] = [];
      const opened = await awaitedDataSource(pooler.url, (line) => {
        said.push(line);
        void other.end();
      });
      expect(said).toEqual([expect.stringMatching(/no more connections allowed.*: waiting for it/)]);
      await opened.destroy();
      await pooler.close();
      // The place of who has just gone is free a moment later.
      const roomy = await openPgBouncer(database.url, 'session');
      const elsewhere = Object.assign(new URL(roomy.url), { pathname: '/there_is_none' }).href;
      const waiting = awaitedDataSource(elsewhere, (line) => said.push(line));
      await expect(waiting).rejects.toThrow('"there_is_none" does not exist');
      expect(said).toHaveLength(1);
      await roomy.close();
    },
  );

  it('ends at once where it is there and has no such database', async () => {
    const said: string[] = [];
    const url = Object.assign(new URL(database.url), { pathname: '/there_is_none' }).href;
    const waiting = awaitedDataSource(url, (line) => said.push(line));
    await expect(waiting).rejects.toThrow('"there_is_none" does not exist');
    expect(said).toEqual([]);
  });

  it.each(['127.0.0.1', 'localhost'])('a command ends at once, and says why (%s)', async (host) => {
    let error = '';
    const code = await runCommand(['doctor'], {
      env: variables(at(String(port), host)),
      out: () => undefined,
      error: (text) => (error += text),
    });
    expect([code, error]).toEqual([
      1,
      expect.stringMatching(/^DATABASE_URL: PostgreSQL does not answer \(connect ECONNREFUSED .*\)\n$/),
    ]);
  });
});
