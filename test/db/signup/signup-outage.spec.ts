import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../../src/infra/free-port.js';
import { startTestApp, type TestApp } from '../../support/app.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { DatabaseFront } from '../../support/database-front.js';
import { refuseWrites, takeWrites } from '../../support/refused-writes.js';

let database: TestDatabase;
let front: DatabaseFront;
let t: TestApp;
beforeAll(async () => {
  database = await createTestDatabase();
  const url = new URL(database.url);
  const server = { host: url.hostname, port: Number(url.port) };
  front = await new DatabaseFront(() => server, await freePort()).open();
  [url.hostname, url.port] = ['127.0.0.1', String(front.port)];
  t = await startTestApp({ databaseUrl: url.href });
  t.app.useLogger(false);
});
afterAll(async () => {
  await t.close();
  await front.close();
  await database.drop();
});

describe('a form while the database is away', () => {
  it('is there as it was served last, as page and as script: whoever came was sent away', async () => {
    const before = [await t.http.get('/p/niches'), await t.http.get('/f/niches.js')];
    await front.close();
    const away = [await t.http.get('/p/niches'), await t.http.get('/f/niches.js')];
    const unseen = await t.http.get('/p/never-served');
    await front.open();
    for (const [at, { status, text }] of away.entries()) {
      expect(status).toBe(200);
      expect(withoutToken(text)).toBe(withoutToken(before[at]?.text ?? ''));
    }
    expect([unseen.status, unseen.headers['retry-after']]).toEqual([503, '60']);
  });

  it('is there while the database can be read and takes nothing, and nobody is counted', async () => {
    await refuseWrites(t.dataSource, '25006', ['visit']);
    const page = await t.http.get('/p/niches');
    await takeWrites(t.dataSource);
    expect(page.status).toBe(200);
  });
});

const withoutToken = (text: string): string => text.replaceAll(/(?<="t" value="|"token":")[^"]*/g, '');
