import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readConfig } from '../../../../config/env.js';
import { startApplication } from '../../../../src/application.js';
import { becomesTrue } from '../../../../src/infra/database/postmaster.js';
import { freePort } from '../../../../src/infra/free-port.js';
import { secretKey } from '../../../../src/infra/secret-key.js';
import { encodeIds, signToken } from '../../../../src/values/signed-token.js';
import { linkIn, type TestMail } from '../../../support/app.js';
import { createTestDatabase, type TestDatabase } from '../../../support/database.js';

const SECRET_KEY = 'a secret that outlives its database';

interface Installation {
  /** Signs up, and returns the mail that asks to confirm. */
  signUp(email: string): Promise<TestMail>;
  post(path: string, fields?: Record<string, string>): Promise<number>;
  stop(): Promise<void>;
}

describe(
  'an installation whose database was lost, begun anew with the same SECRET_KEY',
  { timeout: 60_000 },
  () => {
    let database: TestDatabase;
    let client: Client;
    const undo: (() => Promise<unknown>)[] = [];
    beforeEach(async () => {
      database = await createTestDatabase();
      client = new Client({ connectionString: database.url });
      await client.connect();
      undo.push(
        async () => database.drop(),
        async () => client.end(),
      );
      await lose();
    });
    afterEach(async () => {
      for (const step of undo.splice(0).toReversed()) await step();
    });

    const lose = async (): Promise<unknown> =>
      client.query('drop schema public cascade; create schema public');
    const begin = async (): Promise<Installation> => {
      const dataDir = await mkdtemp(join(tmpdir(), 'wellspring-lost-'));
      const port = await freePort();
      const application = await startApplication(
        readConfig({
          ...{ PORT: String(port), HOST: '127.0.0.1', DATA_DIR: dataDir, DATABASE_URL: database.url },
          ...{ SECRET_KEY, DEMO: 'true', LOG_LEVEL: 'silent' },
        }),
        () => undefined,
      );
      const stop = async (): Promise<void> => {
        await application.stop();
        await rm(dataDir, { recursive: true, force: true });
      };
      const base = `http://127.0.0.1:${port}`;
      const json = async <T>(path: string): Promise<T> =>
        (await (await fetch(base + path, { headers: { accept: 'application/json' } })).json()) as T;
      const post = async (path: string, fields: Record<string, string> = {}): Promise<number> =>
        (await fetch(base + path, { method: 'POST', body: new URLSearchParams(fields), redirect: 'manual' }))
          .status;
      const mailTo = async (email: string): Promise<string | undefined> =>
        (await json<{ data: { id: string; to: string }[] }>('/mailbox?limit=200')).data.find(({ to }) =>
          to.includes(email),
        )?.id;
      const signUp = async (email: string): Promise<TestMail> => {
        await post('/p/niches', { email });
        let id: string | undefined;
        await becomesTrue(async () => (id = await mailTo(email)) !== undefined, 30_000);
        return json<TestMail>(`/mailbox/${id}`);
      };
      return { signUp, post, stop };
    };
    const people = async (): Promise<unknown[]> =>
      (await client.query('select id, email, status from subscriber order by id')).rows;

    it('knows no link of the lost one: its confirmation confirmed the sign-up of somebody else', async () => {
      const lost = await begin();
      const link = linkIn(await lost.signUp('ada@example.com'), /\/confirm\//);
      await lost.stop();
      await lose();
      const anew = await begin();
      undo.push(async () => anew.stop());
      const own = linkIn(await anew.signUp('bob@example.com'), /\/confirm\//);
      const bob = { id: '1', email: 'bob@example.com', status: 'pending' };
      expect(await people()).toEqual([bob]);
      expect(await anew.post(link)).toBeGreaterThanOrEqual(400);
      expect(await people()).toEqual([bob]);
      expect(await anew.post(own)).toBeLessThan(400);
      expect(await people()).toEqual([{ ...bob, status: 'active' }]);
    });

    it('goes on to know its own links after it was brought up to date from a version that had none but SECRET_KEY', async () => {
      const before = await begin();
      await before.signUp('ada@example.com');
      await before.stop();
      await client.query(
        `delete from setting where key = 'installation.salt'; delete from schema_migration where name like 'InstallationSalt%'`,
      );
      const { rows } = await client.query<{ id: string; subscriber: string }>(
        'select id, subscriber_id as subscriber from message',
      );
      const [mail] = rows;
      const key = await secretKey(SECRET_KEY, '');
      const token = signToken(key, 'unsubscribe', encodeIds([mail?.subscriber ?? '', mail?.id ?? '']));
      const after = await begin();
      undo.push(async () => after.stop());
      expect(await after.post(`/u/${token}`, { 'List-Unsubscribe': 'One-Click' })).toBe(200);
      expect(await people()).toMatchObject([{ email: 'ada@example.com', status: 'unsubscribed' }]);
    });
  },
);
