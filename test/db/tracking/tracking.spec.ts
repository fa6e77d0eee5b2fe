import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONFIG, type Config } from '../../../src/infra/config.js';
import { LinkAmpersands1765620000000 } from '../../../src/infra/database/migrations/1765620000000-link-ampersands.js';
import { clickToken, openToken } from '../../../src/tracking/tracking-token.js';
import { HitRecorder } from '../../../src/tracking/hit-recorder.service.js';
import { TrackingService } from '../../../src/tracking/tracking.service.js';
import { API_KEY, START, startTestApp, type TestApp } from '../../support/app.js';

let t: TestApp;
let secret: Buffer;
let messageId: string;
let linkId: string;
let subscriberId: string;
beforeAll(async () => {
  t = await startTestApp();
  secret = t.app.get<Config>(CONFIG).secretKey;
  [{ id: subscriberId }] = await t.dataSource.query(
    `insert into subscriber (email, email_key, status, created_at, updated_at)
     values ('ada@example.com', 'ada@example.com', 'active', $1, $1) returning id`,
    [START],
  );
  [{ id: messageId }] = await t.dataSource.query(
    `insert into message (dedupe_key, class, kind, subscriber_id, email_template_id, sender, address, address_hash,
       message_id_header, state, due_at, created_at)
     select 'test', 'marketing', 'sequence', $1, (select min(id) from email_template), '{}', 'ada@example.com', '\\x00',
       '<x@example.com>', 'accepted', $2, $2 returning id`,
    [subscriberId, START],
  );
  [{ id: linkId }] = await t.dataSource.query(
    `insert into link (url_template, url_hash, created_at) values ('https://example.com/page', '\\x01', $1) returning id`,
    [START],
  );
});
afterAll(async () => t.close());

const events = async (): Promise<{ kind: string; class: string; linkId: string | null }[]> => {
  await t.app.get(HitRecorder).flush();
  return t.dataSource.query('select kind, class, link_id as "linkId" from tracking_event order by id');
};
const forget = async (): Promise<void> => void (await t.dataSource.query('delete from tracking_event'));

describe('a visit', () => {
  it('shows the page whatever its campaign is called: a sign cut in half at the end led to an error', async () => {
    const name = `${'x'.repeat(199)}\u{1f600}`;
    await t.http.get(`/p/niches?utm_campaign=${encodeURIComponent(name)}`).expect(200);
    expect(await t.dataSource.query(`select utm->>'campaign' as name from visit`)).toEqual([
      { name: `${'x'.repeat(199)}\ufffd` },
    ]);
    await t.dataSource.query('delete from visit');
  });
});

describe('clicks', () => {
  it('lead to the stored address and are recorded as a person’s beside the built-in mailbox', async () => {
    await forget();
    const answer = await t.http.get(`/c/${clickToken(secret, { messageId, linkId, url: null })}`).expect(302);
    expect(answer.headers).toMatchObject({
      location: 'https://example.com/page',
      'referrer-policy': 'no-referrer',
      'x-robots-tag': 'noindex',
      'cache-control': 'no-store',
    });
    expect(answer.headers['set-cookie']).toBeUndefined();
    expect(await events()).toEqual([{ kind: 'click', class: 'human', linkId }]);
  });

  it.each(['&#38;', '&#038;', '&#x26;', '&#X26;'])(
    'lead to the address of a mail that was published before %s was read as an ampersand',
    async (written) => {
      const [{ id = '' } = {}]: { id?: string }[] = await t.dataSource.query(
        `insert into link (url_template, url_hash, created_at) values ($1, sha256(convert_to($1, 'UTF8')), $2) returning id`,
        [`https://example.com/shop?a=1${written}b=2${written}copy=3`, START],
      );
      const runner = t.dataSource.createQueryRunner();
      await new LinkAmpersands1765620000000().up(runner);
      await runner.release();
      const answer = await t.http.get(`/c/${clickToken(secret, { messageId, linkId: id, url: null })}`);
      expect(answer.headers['location']).toBe('https://example.com/shop?a=1&b=2&copy=3');
      expect((await events()).at(-1)).toEqual({ kind: 'click', class: 'human', linkId: id });
    },
  );

  it('answer HEAD alike and record it as a scanner’s', async () => {
    await forget();
    const url = 'https://example.com/personal?a=1&b=ü';
    const answer = await t.http.head(`/c/${clickToken(secret, { messageId, linkId, url })}`).expect(302);
    expect(answer.headers.location).toBe('https://example.com/personal?a=1&b=%C3%BC');
    expect(await events()).toEqual([{ kind: 'click', class: 'scanner', linkId }]);
  });

  it('are no open redirect: forged tokens and unsafe targets get 404 and leave no trace', async () => {
    await forget();
    const good = clickToken(secret, { messageId, linkId, url: 'https://example.com/' });
    const evil = ['javascript:alert(1)', 'https://a@evil.example/', 'https:\\\\evil.example'].map((url) =>
      clickToken(secret, { messageId, linkId, url }),
    );
    for (const token of [`${good}A`, `A${good}`, 'x', openToken(secret, messageId), ...evil]) {
      const answer = await t.http.get(`/c/${token}`).expect(404);
      expect(answer.headers.location).toBeUndefined();
    }
    expect(await events()).toEqual([]);
  });

  it('still redirect for a mail that is gone', async () => {
    await forget();
    const token = clickToken(secret, { messageId: '999999', linkId, url: 'https://example.com/' });
    await t.http.get(`/c/${token}`).expect(302);
    expect(await events()).toEqual([]);
  });

  it('still redirect, unrecorded, for a reader who does not want to be counted', async () => {
    await forget();
    await t.dataSource.query('update subscriber set tracking_consent = false where id = $1', [subscriberId]);
    await t.http.get(`/c/${clickToken(secret, { messageId, linkId, url: null })}`).expect(302);
    await t.http.get(`/o/${openToken(secret, messageId)}.gif`).expect(200);
    expect(await events()).toEqual([]);
    await t.dataSource.query('update subscriber set tracking_consent = true where id = $1', [subscriberId]);
  });
});

describe('opens', () => {
  it('give a picture for any token and record a genuine one', async () => {
    await forget();
    const answer = await t.http
      .get(`/o/${openToken(secret, messageId)}.gif`)
      .expect(200)
      .expect('content-type', 'image/gif');
    expect(answer.body.subarray(0, 3).toString()).toBe('GIF');
    await t.http.get('/o/forged.gif').expect(200).expect('content-type', 'image/gif');
    expect(await events()).toEqual([{ kind: 'open', class: 'human', linkId: null }]);
  });
});

describe('visits and conversions', () => {
  const facts = (change: object = {}) => ({
    ip: '203.0.113.9',
    method: 'GET',
    headers: {
      'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
      'accept-language': 'en',
    },
    query: {},
    ...change,
  });

  it('keep visitor, class and campaign, and nothing of a HEAD request', async () => {
    const tracking = t.app.get(TrackingService);
    const visit = { page: 'squeeze', slug: 'niches', funnelKey: 'niche-ebook' } as const;
    await tracking.recordVisit({ ...visit, request: facts({ query: { utm_source: 'blog' } }) });
    await tracking.recordVisit({ ...visit, request: facts({ method: 'HEAD' }) });
    await tracking.recordVisit({ ...visit, request: facts({ headers: { 'user-agent': 'curl/8.5.0' } }) });
    const rows: object[] = await t.dataSource.query('select class, utm, page from visit order by id');
    expect(rows).toEqual([
      { class: 'human', utm: { source: 'blog' }, page: 'squeeze' },
      { class: 'scanner', utm: null, page: 'squeeze' },
    ]);
  });

  it('know a visitor for one day only', () => {
    const tracking = t.app.get(TrackingService);
    const id = (at: string, ip = '203.0.113.9') =>
      tracking.visitorId(ip, 'browser', new Date(at)).toString('hex');
    expect(id('2026-03-02T00:00:00Z')).toBe(id('2026-03-02T23:59:59Z'));
    expect(id('2026-03-02T23:59:59Z')).not.toBe(id('2026-03-03T00:00:00Z'));
    expect(id('2026-03-02T00:00:00Z')).not.toBe(id('2026-03-02T00:00:00Z', '203.0.113.10'));
  });

  it('count a conversion once for each key, and list it', async () => {
    const tracking = t.app.get(TrackingService);
    const order = {
      kind: 'order',
      funnelKey: 'niche-ebook',
      dedupeKey: 'order:77',
      subscriberId,
      orderId: '77',
      money: { amountMinor: 3430, currency: 'EUR' },
    } as const;
    expect(await tracking.recordConversion(t.dataSource.manager, order)).toBe(true);
    expect(await tracking.recordConversion(t.dataSource.manager, order)).toBe(false);
    const list = (query: string) =>
      t.http.get(`/api/v1/conversions?${query}`).set('Authorization', `Bearer ${API_KEY}`);
    const { body } = await list('kind=order&funnel=niche-ebook').expect(200);
    expect(body.data).toMatchObject([{ orderId: '77', amount: { amountMinor: 3430, currency: 'EUR' } }]);
    expect((await list('kind=signup').expect(200)).body.data).toEqual([]);
    await list('kind=nonsense').expect(422);
  });

  it('a conversion keeps no mark of the browser of who does not want to be seen, as buyer or as reader of the mail', async () => {
    const tracking = t.app.get(TrackingService);
    const visitorId = Buffer.alloc(16, 5);
    const marks = async (key: string, whose: object): Promise<unknown[]> => {
      const conversion = { kind: 'order', funnelKey: 'marks', dedupeKey: key, visitorId, ...whose } as const;
      await tracking.recordConversion(t.dataSource.manager, conversion);
      const sql = 'select visitor_id as mark from conversion where dedupe_key = $1';
      return ((await t.dataSource.query(sql, [key])) as { mark: unknown }[]).map(({ mark }) => mark);
    };
    expect(await marks('order:seen', { subscriberId, messageId })).toEqual([visitorId]);
    await t.dataSource.query('update subscriber set tracking_consent = false where id = $1', [subscriberId]);
    expect(await marks('order:buyer', { subscriberId })).toEqual([null]);
    expect(await marks('order:reader', { messageId })).toEqual([null]);
    expect(await marks('order:nobody', {})).toEqual([visitorId]);
    await t.dataSource.query('update subscriber set tracking_consent = true where id = $1', [subscriberId]);
  });
});
