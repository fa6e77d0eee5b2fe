import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CONFIG, type Config } from '../../../src/infra/config.js';
import { KeptLeavings } from '../../../src/subscribers/kept-leavings.service.js';
import { encodeIds, signToken } from '../../../src/values/signed-token.js';
import { API_KEY, type TestApp } from '../../support/app.js';
import { joins, newReader } from '../../support/reader.js';
import type { DatabaseFront } from '../../support/database-front.js';
import { type FrontedApp, startFrontedApp } from '../../support/fronted-app.js';
import { refuseWrites, takeWrites } from '../../support/refused-writes.js';

const ONE_CLICK = 'List-Unsubscribe=One-Click';

let fronted: FrontedApp;
let front: DatabaseFront;
let t: TestApp;
let folder: string;
let count = 0;
let reader: string;
beforeAll(async () => {
  fronted = await startFrontedApp();
  ({ t, front } = fronted);
  folder = join(t.app.get<Config>(CONFIG).dataDir, 'leavings');
});
afterAll(async () => fronted.close());
beforeEach(() => {
  reader = `leaver${++count}@example.com`;
});
afterEach(async () => rm(folder, { recursive: true, force: true }));

const status = async (): Promise<string> => {
  const rows: { status: string }[] = await t.dataSource.query(
    'select status from subscriber where email_key = $1',
    [reader],
  );
  return rows[0]?.status ?? 'nobody';
};
const unsubscribeLink = async (): Promise<string> => (await newReader(t, reader)).unsubscribe;
const oneClick = async (link: string) => t.http.post(link).type('form').send(ONE_CLICK);
const kept = async (): Promise<string[]> => readdir(folder).catch(() => []);
const takeUp = async (): Promise<boolean> => t.app.get(KeptLeavings, { strict: false }).takeUp();

describe('leaving while the database is away', () => {
  it('is told to be done and counts when the database is back: it was answered 500 and forgotten', async () => {
    const link = await unsubscribeLink();
    await front.close();
    const answers = [await oneClick(link), await oneClick(link)];
    expect(answers.map(({ status: code, text }) => [code, text])).toEqual([
      [200, 'Unsubscribed.\n'],
      [200, 'Unsubscribed.\n'],
    ]);
    expect([await takeUp(), (await kept()).length]).toEqual([false, 1]);
    await front.open();
    expect(await status()).toBe('active');
    await takeUp();
    expect([await status(), await kept()]).toEqual(['unsubscribed', []]);
    const rows: unknown[] = await t.dataSource.query(
      `select scope, source from suppression where email_hash = (select address_hash from message where address = $1 limit 1)`,
      [reader],
    );
    expect(rows).toEqual([{ scope: 'marketing', source: 'one_click' }]);
  });

  it('counts before the next mails go', async () => {
    const link = await unsubscribeLink();
    const before = (await t.mailsTo(reader)).length;
    await front.close();
    await oneClick(link);
    await front.open();
    t.clock.advance(10 * 86_400_000);
    await t.runDue();
    expect([await status(), (await t.mailsTo(reader)).length]).toEqual(['unsubscribed', before]);
  });

  it('has its page and its button', async () => {
    const link = await unsubscribeLink();
    await front.close();
    const page = await t.http.get(link).expect(200);
    expect(page.text).toContain('<button');
    const done = await t.http.post(link).type('form').send({ from: 'page' }).expect(200);
    expect(done.text).toContain('Noted: no more mails');
    await front.open();
    await takeUp();
    expect(await status()).toBe('unsubscribed');
  });

  it('is asked for patience by all other pages and addresses, which said that something went wrong', async () => {
    const link = await unsubscribeLink();
    await front.close();
    const page = await t.http.get('/p/not-seen-yet').set('accept', 'text/html');
    const json = await t.http.get('/api/v1/subscribers').set('authorization', `Bearer ${API_KEY}`);
    const reason = await t.http.post(`${link}/reason`).type('form').send({ reason: 'bought' });
    await front.open();
    for (const answer of [page, json, reason])
      expect([answer.status, answer.headers['retry-after']]).toEqual([503, '60']);
    expect(page.text).toContain('Back in a moment');
    expect(json.body).toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
  });

  it('keeps nothing for a link that we did not write', async () => {
    const link = await unsubscribeLink();
    await front.close();
    const forged = await oneClick(link.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')));
    await front.open();
    expect([forged.status, await kept()]).toEqual([404, []]);
  });

  it('is to be asked for once more when the disk does not take it either', async () => {
    const link = await unsubscribeLink();
    await writeFile(folder, '');
    await front.close();
    const answer = await oneClick(link);
    await front.open();
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '60']);
    expect(await status()).toBe('active');
  });

  const preferencesLink = async (): Promise<string> => (await newReader(t, reader)).preferences;
  const leave = async (link: string): Promise<string> =>
    (await t.http.post(`${link}/leave`).type('form').send({}).expect(200)).text;

  it('by the page of preferences is kept in the same way: it was answered with an error and forgotten', async () => {
    const link = await preferencesLink();
    await front.close();
    expect(await leave(link)).toContain('Noted: no more mails');
    await front.open();
    expect([await status(), await kept()]).toEqual(['active', [expect.any(String)]]);
    expect([await takeUp(), await status(), await kept()]).toEqual([true, 'unsubscribed', []]);
    const [left]: unknown[] = await t.dataSource.query(
      `select x.source from suppression x order by id desc limit 1`,
    );
    expect(left).toEqual({ source: 'preferences' });
  });

  it('by the page of preferences is kept while the page is there and nothing can be written, as with a full disk', async () => {
    const link = await preferencesLink();
    await refuseWrites(t.dataSource, '53100', ['subscriber', 'suppression']);
    expect(await leave(link)).toContain('Noted: no more mails');
    await takeWrites(t.dataSource);
    expect([await takeUp(), await status()]).toEqual([true, 'unsubscribed']);
  });

  it('does not undo a yes that came after it', async () => {
    const link = await unsubscribeLink();
    const text = JSON.stringify({ token: link.split('/').at(-1), via: 'one_click', at: t.clock.now() });
    t.clock.advance(60_000);
    await joins(t, reader);
    // On the disk of a machine that comes back only now.
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, `${'1'.repeat(64)}.json`), text);
    await takeUp();
    expect([await status(), await kept()]).toEqual(['active', []]);
  });

  it('is not undone by whoever types the address into a form', async () => {
    const link = await unsubscribeLink();
    await front.close();
    await oneClick(link);
    await front.open();
    t.clock.advance(60_000);
    await t.http.post('/p/niches').type('form').send({ email: reader }).expect(200);
    await takeUp();
    expect(await status()).toBe('unsubscribed');
  });

  it('goes on behind one that cannot be done, and the owner is told', async () => {
    const link = await unsubscribeLink();
    await front.close();
    await oneClick(link);
    const secret = t.app.get<Config>(CONFIG).secretKey;
    const lost = signToken(secret, 'unsubscribe', encodeIds(['777777777', '888888888']));
    await oneClick(`/u/${lost}`);
    await front.open();
    await writeFile(join(folder, `${'0'.repeat(64)}.json`), '{"token":');
    expect(await takeUp()).toBe(true);
    const left = (await kept()).map((name) => name.slice(-12)).toSorted();
    expect([await status(), left.length]).toEqual(['unsubscribed', 2]);
    expect(left.every((name) => name.endsWith('.json.failed'))).toBe(true);
    const told: unknown[] = await t.dataSource.query(
      `select severity from alert where key like 'leavings:failed:%' and resolved_at is null`,
    );
    expect(told).toEqual([{ severity: 'critical' }]);
  });
});
