import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { encodeIds, signToken } from '../../../src/values/signed-token.js';
import { CONFIG, type Config } from '../../../src/infra/config.js';
import { linkIn, startTestApp, type TestApp, type TestMail } from '../../support/app.js';
import { joins, newReader } from '../../support/reader.js';

const DAY_MS = 86_400_000;
/** What link checkers and mail readers send along when they look ahead. */
const PREFETCH = { Purpose: 'prefetch', 'Sec-Purpose': 'prefetch;prerender', 'X-Purpose': 'preview' };

let t: TestApp;
let count = 0;
let reader: string;
beforeAll(async () => {
  t = await startTestApp();
  await t.app.listen(0, '127.0.0.1');
});
afterAll(async () => t.close());
beforeEach(() => {
  reader = `leaver${++count}@example.com`;
});

const only = async (
  sql: string,
  values: unknown[] = [reader],
): Promise<Record<string, unknown> | undefined> =>
  (await t.dataSource.query<Record<string, unknown>[]>(sql, values))[0];
const status = async () => (await only('select status from subscriber where email_key = $1'))?.['status'];
const unsubscribeLink = async (): Promise<string> => (await newReader(t, reader)).unsubscribe;
const suppressions = async (): Promise<unknown[]> =>
  t.dataSource.query(
    `select x.scope, x.reason, x.source from suppression x where x.email_hash = (select address_hash from message where address = $1 limit 1) order by x.id`,
    [reader],
  );

describe('the unsubscribe link', () => {
  it('changes nothing by looking, however a scanner looks', async () => {
    const link = await unsubscribeLink();
    for (const headers of [{}, PREFETCH, { 'User-Agent': 'Mozilla/5.0 (compatible; BarracudaCentral)' }]) {
      const page = await t.http.get(link).set(headers).expect(200);
      expect(page.text).toContain('<button');
      expect(page.text).not.toContain('<script');
      await t.http.head(link).set(headers).expect(200);
    }
    expect(await status()).toBe('active');
  });

  it('tells who has left that they are off the list: it asked once more whether they want to leave', async () => {
    const link = await unsubscribeLink();
    await t.http.post(link).type('form').send({ from: 'page' }).expect(200);
    const page = await t.http.get(link).expect(200);
    expect(page.text).toContain('is off the list');
    expect(page.text).not.toContain('<button');
    expect((await t.http.post(link).expect(200)).text).toBe('Unsubscribed.\n');
  });

  it.each([
    ['a form', (post: PostLink) => post().type('form').send({ 'List-Unsubscribe': 'One-Click' })],
    ['multipart', (post: PostLink) => post().field('List-Unsubscribe', 'One-Click')],
    ['a body in no known shape', (post: PostLink) => post().type('text').send('List-Unsubscribe=One-Click')],
    [
      'multipart that breaks off',
      (post: PostLink) => post().type('multipart/form-data; boundary=x').send('--x\r\n'),
    ],
    ['no body', (post: PostLink) => post()],
    [
      'a kind of body that is none',
      (post: PostLink) => post().type(';;;').send('List-Unsubscribe=One-Click'),
    ],
    ['JSON that is none', (post: PostLink) => post().type('json').send('List-Unsubscribe=One-Click')],
    ['a body of bytes', (post: PostLink) => post().type('application/octet-stream').send(Buffer.from('a=b'))],
  ])('is done by one POST with %s: 200, brief, no redirect, no cookie', async (_, send) => {
    const link = await unsubscribeLink();
    const answer = await send(() => t.http.post(link));
    expect(answer.status).toBe(200);
    expect(answer.text.length).toBeLessThan(100);
    expect(answer.headers).not.toHaveProperty('location');
    expect(answer.headers).not.toHaveProperty('set-cookie');
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(await status()).toBe('unsubscribed');
    expect(await suppressions()).toEqual([
      { scope: 'marketing', reason: 'unsubscribed', source: 'one_click' },
    ]);
  });

  it.each(['application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/json'])(
    'is done by a POST with a body of 20 MB of %s: it was refused above 1 MB',
    async (type) => {
      const link = await unsubscribeLink();
      const body = 'List-Unsubscribe=One-Click&'.padEnd(20_000_000, 'x');
      await t.http.post(link).type(type).send(body).expect(200, 'Unsubscribed.\n');
      expect(await status()).toBe('unsubscribed');
      await t.http.post(link).expect(200);
    },
  );

  it.each(['application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'text/plain'])(
    'is done before a body of %s that is too long has ended, so that none is held in memory',
    async (type) => {
      const link = await unsubscribeLink();
      const { port } = t.app.getHttpServer().address() as AddressInfo;
      const post = request({ port, path: link, method: 'POST', headers: { 'content-type': type } });
      post.on('error', () => undefined);
      post.write('x'.repeat(100_000));
      const [answer] = (await once(post, 'response')) as [IncomingMessage];
      expect(answer.statusCode).toBe(200);
      expect(await status()).toBe('unsubscribed');
      post.destroy();
    },
  );

  it('by the page’s own button is known in a form of ordinary size, as ever', async () => {
    const link = await unsubscribeLink();
    const multipart = await t.http.post(link).field('from', 'page').expect(200);
    const form = await t.http.post(link).type('form').send({ from: 'page' }).expect(200);
    for (const page of [multipart, form]) expect(page.text).toContain(`action="${link}/reason"`);
  });

  it('is done once, however often it is pressed, and ends the sequence', async () => {
    const link = await unsubscribeLink();
    const answers = await Promise.all(Array.from({ length: 5 }, () => t.http.post(link)));
    expect(new Set(answers.map(({ status: code, text }) => `${code} ${text}`)).size).toBe(1);
    expect(
      await only(
        `select count(*)::int as n from consent_event c join subscriber s on s.id = c.subscriber_id
         where s.email_key = $1 and c.kind = 'withdrawn'`,
      ),
    ).toEqual({ n: 1 });
    expect(
      await only(
        `select e.status, e.exit_reason as why from enrollment e join subscriber s on s.id = e.subscriber_id where s.email_key = $1`,
      ),
    ).toEqual({ status: 'exited', why: 'unsubscribed' });
  });

  it('takes no notice of who sends it or how often: a provider posts for all its readers from one address', async () => {
    const link = await unsubscribeLink();
    const codes = new Set<number>();
    for (let round = 0; round < 200; round++) codes.add((await t.http.post(link)).status);
    expect([...codes]).toEqual([200]);
  });

  it('answers every link that is not ours alike', async () => {
    const link = await unsubscribeLink();
    const { secretKey } = t.app.get<Config>(CONFIG);
    const foreign = [
      '/u/AAAA',
      `${link}x`,
      link.slice(0, -1),
      `/u/${signToken(secretKey, 'preferences', encodeIds(['1', '1']))}`,
      `/u/${signToken(Buffer.alloc(32), 'unsubscribe', encodeIds(['1', '1']))}`,
      `/u/${signToken(secretKey, 'unsubscribe', encodeIds(['1']))}`,
    ];
    const posts = new Set<string>();
    const gets = new Set<string>();
    for (const path of foreign) {
      const answer = await t.http.post(path);
      posts.add(`${answer.status} ${answer.text}`);
      const page = await t.http.get(path);
      gets.add(`${page.status} ${page.text}`);
    }
    expect([posts.size, gets.size]).toEqual([1, 1]);
    expect([...posts][0]).toMatch(/^404 /);
    expect(await status()).toBe('active');
  });

  it('works for a person who was deleted or merged, and tells nobody which', async () => {
    const link = await unsubscribeLink();
    const before = await t.http.get(link).expect(200);
    await t.dataSource.query('delete from subscriber where email_key = $1', [reader]);
    const after = await t.http.get(link).expect(200);
    expect(after.text).toBe(before.text);
    await t.http.post(link).expect(200, 'Unsubscribed.\n');
    expect(await suppressions()).toEqual([
      { scope: 'marketing', reason: 'unsubscribed', source: 'one_click' },
    ]);
  });

  it('stops the person who holds the mail now, after a merge', async () => {
    const link = await unsubscribeLink();
    const kept = `kept-${reader}`;
    await t.dataSource.query(
      `with kept as (insert into subscriber (email, email_key, status, created_at, updated_at)
         values ($2, $2, 'active', now(), now()) returning id),
       moved as (update message set subscriber_id = (select id from kept) where address = $1)
       delete from subscriber where email_key = $1`,
      [reader, kept],
    );
    await t.http.post(link).expect(200);
    expect(await only('select status from subscriber where email_key = $1', [kept])).toEqual({
      status: 'unsubscribed',
    });
    expect(await suppressions()).toHaveLength(1);
  });

  it('reads and edits nothing beside', async () => {
    const token = (await unsubscribeLink()).split('/').at(-1);
    const pages = [
      await t.http.get(`/u/${token}`),
      await t.http.post(`/u/${token}`).type('form').send({ from: 'page' }),
    ];
    for (const page of pages) expect(page.text).not.toMatch(/leaver|\*\*\*|preferences\//);
    await t.http.get(`/preferences/${token}`).expect(404);
    await t.http.post(`/preferences/${token}/export`).expect(404);
    await t.http.post(`/preferences/${token}/erase`).expect(404);
    await t.http.post(`/confirm/${token}`).expect(404);
  });
});

describe('after leaving', () => {
  it('takes a reason from whoever wants to give one, the last word counting', async () => {
    const link = await unsubscribeLink();
    const page = await t.http.post(link).type('form').send({ from: 'page' }).expect(200);
    expect(page.text).toContain(`action="${link}/reason"`);
    await t.http.post(`${link}/reason`).type('form').send({ reason: 'too_many' }).expect(200);
    const comment = `<b>two a day\0</b> ${'x'.repeat(600)}`;
    await t.http.post(`${link}/reason`).type('form').send({ reason: 'other', comment }).expect(200);
    await t.http.post(`${link}/reason`).type('form').send({ reason: 'nonsense' }).expect(200);
    const kept = await only(
      `select l.reason, l.funnel_key as funnel, length(l.comment) as length from leave_reason l join subscriber s on s.id = l.subscriber_id
       where s.email_key = $1`,
    );
    expect(kept).toEqual({ reason: 'other', funnel: 'niche-ebook', length: 500 });
    await t.http.post('/u/AAAA/reason').type('form').send({ reason: 'other' }).expect(404);
  });

  it('keeps no reason of somebody who stayed', async () => {
    const link = await unsubscribeLink();
    await t.http.post(`${link}/reason`).type('form').send({ reason: 'other' }).expect(200);
    expect(
      await only(
        'select count(*)::int as n from leave_reason l join subscriber s on s.id = l.subscriber_id where s.email_key = $1',
      ),
    ).toEqual({ n: 0 });
  });

  it('lets nobody back by an older sign-up that was never confirmed, but by a new one', async () => {
    await t.http.post('/p/niches').type('form').send({ email: reader }).expect(200);
    await t.runDue();
    const old = linkIn((await t.mailsTo(reader)).at(-1) as TestMail, /\/confirm\//);
    const { id } = (await only('select id from subscriber where email_key = $1')) as { id: string };
    await t.http
      .post(`/u/${signToken(t.app.get<Config>(CONFIG).secretKey, 'unsubscribe', encodeIds([id, '0']))}`)
      .expect(200);
    await t.http.post(old).expect(410);
    expect(await status()).toBe('unsubscribed');
    t.clock.advance(DAY_MS);
    await joins(t, reader);
    expect(await status()).toBe('active');
    const kinds: { kind: string }[] = await t.dataSource.query(
      'select kind from consent_event where subscriber_id = $1 order by id',
      [id],
    );
    expect(kinds.map(({ kind }) => kind)).toEqual(['granted', 'withdrawn', 'granted', 'confirmed']);
  });
});

type PostLink = () => ReturnType<TestApp['http']['post']>;
