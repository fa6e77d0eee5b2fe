import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from '../../../../config/env.js';
import { startApplication, type Application } from '../../../../src/application.js';
import { becomesTrue } from '../../../../src/infra/database/postmaster.js';
import { freePort } from '../../../../src/infra/free-port.js';
import { DatabaseFront } from '../../../support/database-front.js';
import { DurablePostgres } from '../../../support/durable-postgres.js';

/** A PostgreSQL of its own, as its files are exchanged. */
describe('a base backup that is restored under a web process', { timeout: 120_000 }, () => {
  let cluster: DurablePostgres;
  let front: DatabaseFront;
  let database: string;
  let dataDir: string;
  let port: number;
  beforeAll(async () => {
    cluster = await DurablePostgres.start();
    front = await new DatabaseFront(() => cluster.address, await freePort()).open();
    database = await cluster.createDatabase();
    dataDir = await mkdtemp(join(tmpdir(), 'wellspring-restored-'));
    port = await freePort();
  }, 120_000);
  afterAll(async () => {
    await front.close();
    await cluster.close();
    await rm(dataDir, { recursive: true, force: true });
  });

  const start = async (roles: string): Promise<Application> =>
    startApplication(
      readConfig({
        ...{ PORT: String(port), HOST: '127.0.0.1', DATA_DIR: dataDir, ROLES: roles, LOG_LEVEL: 'silent' },
        ...{ DATABASE_URL: cluster.url(database, { host: '127.0.0.1', port: front.port }), DEMO: 'true' },
      }),
      () => undefined,
    );
  const rows = async <T>(sql: string): Promise<T[]> =>
    cluster.as(database, async (client) => (await client.query(sql)).rows as T[]);
  /** Until it is in the database: it is kept at first where a connection was cut, and waits for the owner on a backup. */
  const signUp = async (email: string): Promise<void> => {
    const taken = await becomesTrue(
      async () =>
        (
          await fetch(`http://127.0.0.1:${port}/p/niches`, {
            method: 'POST',
            // Else its end waits for this connection.
            headers: { connection: 'close' },
            body: new URLSearchParams({ email }),
          })
        ).status === 200 && (await rows(`select 1 from subscriber where email = '${email}'`)).length > 0,
      60_000,
    );
    expect(taken).toBe(true);
  };

  it('gives the first sign-up after it no number that somebody has had since the backup', async () => {
    const all = await start('web,worker');
    await cluster.backUpLive();
    await signUp('ada@example.com');
    const isSent = async (): Promise<boolean> =>
      (await rows(`select 1 from message where state = 'accepted'`)).length > 0;
    expect(await becomesTrue(isSent, 60_000)).toBe(true);
    await all.stop();
    const [ada] = await rows<{ id: string }>('select id from subscriber');
    const web = await start('web');
    try {
      await cluster.restoreBackup();
      expect(await rows('select 1 from subscriber')).toEqual([]);
      await signUp('bob@example.com');
      const [bob] = await rows<{ id: string }>('select id from subscriber');
      expect(Number(ada?.id)).toBeLessThan(1_000);
      expect(Number(bob?.id)).toBeGreaterThan(1e15);
    } finally {
      await web.stop();
    }
  });
});
