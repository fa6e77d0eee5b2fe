import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from '../../config/env.js';
import { openCommandContext, startApplication, type Application } from '../../src/application.js';
import { freePort } from '../../src/infra/free-port.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { hasPgBouncer, openPgBouncer, type PgBouncer } from '../support/pgbouncer.js';

describe.skipIf(!hasPgBouncer())('a start with a DATABASE_URL of PgBouncer', { timeout: 60_000 }, () => {
  let database: TestDatabase;
  let pooler: PgBouncer;
  let dataDir: string;
  beforeAll(async () => {
    database = await createTestDatabase();
    dataDir = await mkdtemp(join(tmpdir(), 'wellspring-pooled-'));
  });
  afterAll(async () => {
    await database.drop();
    await rm(dataDir, { recursive: true });
  });

  const open = async (mode: 'session' | 'transaction'): Promise<Record<string, string>> => {
    pooler = await openPgBouncer(database.url, mode);
    return {
      ...{ HOST: '127.0.0.1', PORT: String(await freePort()), DATA_DIR: dataDir, LOG_LEVEL: 'silent' },
      ...{ DATABASE_URL: pooler.url, SMTP_URL: 'smtp://127.0.0.1:1' },
    };
  };
  const started = async (variables: Record<string, string>): Promise<Application> =>
    startApplication(readConfig(variables), () => undefined);
  const REFUSED = {
    code: 'DATABASE_POOLER_UNFIT',
    message: expect.stringMatching(/^DATABASE_URL: .*hands out single transactions.*pool_mode = session/),
  };

  it.each(['web', 'worker', 'web,worker'])(
    'that hands out transactions is refused with what to do (%s): it ran',
    async (roles) => {
      const variables = await open('transaction');
      const start = started({ ...variables, ROLES: roles });
      // Else it would be left running.
      start.then(
        async (application) => application.stop(),
        () => undefined,
      );
      await expect(start).rejects.toMatchObject(REFUSED);
      await expect(openCommandContext(readConfig(variables), () => undefined)).rejects.toMatchObject(REFUSED);
      await pooler.close();
    },
  );

  it('that hands out whole sessions is as good as none', async () => {
    const variables = await open('session');
    const application = await started(variables);
    expect((await fetch(`http://127.0.0.1:${variables['PORT']}/readyz`)).status).toBe(200);
    await application.stop();
    await (await openCommandContext(readConfig(variables), () => undefined)).close();
    await pooler.close();
  });
});
