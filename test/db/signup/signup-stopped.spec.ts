import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from '../../../config/env.js';
import { startApplication, type Application } from '../../../src/application.js';
import { becomesTrue } from '../../../src/infra/database/postmaster.js';
import { freePort } from '../../../src/infra/free-port.js';
import { DatabaseFront } from '../../support/database-front.js';
import { DurablePostgres } from '../../support/durable-postgres.js';

/** A PostgreSQL of its own, as it is stopped. */
describe('a PostgreSQL that is stopped under a web process', { timeout: 120_000 }, () => {
  let cluster: DurablePostgres;
  let front: DatabaseFront;
  let database: string;
  let dataDir: string;
  let port: number;
  let app: Application;
  beforeAll(async () => {
    cluster = await DurablePostgres.start();
    front = await new DatabaseFront(() => cluster.address, await freePort()).open();
    database = await cluster.createDatabase();
    dataDir = await mkdtemp(join(tmpdir(), 'wellspring-stopped-'));
    port = await freePort();
    app = await start();
  }, 120_000);
  afterAll(async () => {
    await app.stop();
    await front.close();
    await cluster.close();
    await rm(dataDir, { recursive: true, force: true });
  });

  const start = async (): Promise<Application> =>
    startApplication(
      readConfig({
        ...{ PORT: String(port), HOST: '127.0.0.1', DATA_DIR: dataDir, ROLES: 'web', LOG_LEVEL: 'silent' },
        ...{ DATABASE_URL: cluster.url(database, { host: '127.0.0.1', port: front.port }), DEMO: 'true' },
      }),
      () => undefined,
    );
  const page = async (body?: URLSearchParams): Promise<number> =>
    (
      await fetch(`http://127.0.0.1:${port}/p/niches`, {
        // Else its end waits for this connection.
        headers: { connection: 'close' },
        ...(body === undefined ? {} : { method: 'POST', body }),
      })
    ).status;
  const known = async (): Promise<string[]> =>
    cluster.as(database, async (client) => {
      const { rows } = await client.query<{ email: string }>('select email from subscriber order by id');
      return rows.map(({ email }) => email);
    });
  const knows = async (count: number): Promise<boolean> =>
    becomesTrue(async () => (await known()).length === count, 60_000);

  it('has its page, and who signs up there is known once it runs again: they were turned away', async () => {
    expect(await page()).toBe(200);
    await cluster.whileStopped(async () => {
      expect([await page(), await page(new URLSearchParams({ email: 'ada@example.com' }))]).toEqual([
        200, 200,
      ]);
    });
    expect([await knows(1), await known()]).toEqual([true, ['ada@example.com']]);
  });

  it('and a process that ends before it runs again, leave nobody out', async () => {
    expect(await page()).toBe(200);
    await cluster.whileStopped(async () => {
      expect(await page(new URLSearchParams({ email: 'bob@example.com' }))).toBe(200);
      await app.stop();
    });
    app = await start();
    expect([await knows(2), await known()]).toEqual([true, ['ada@example.com', 'bob@example.com']]);
  });
});
