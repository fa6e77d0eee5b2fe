import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_KEY, linkIn, startTestApp, type TestApp, type TestMail } from '../support/app.js';

const READER = 'reader@example.com';
const LONG = 'a'.repeat(3_000);

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp();
});
afterAll(async () => t.close());

const mails = (): Promise<TestMail[]> => t.mailsTo(READER);
const post = (path: string, fields: Record<string, string>) => t.http.post(path).type('form').send(fields);

describe('looking', () => {
  let addresses: string[];

  /** Every address that a person, a mail scanner or a link preview can open, in the state in which it matters most. */
  beforeAll(async () => {
    await post('/p/niches', { email: READER }).expect(200);
    await t.runDue();
    const asked = (await mails())[0] as TestMail;
    await post(linkIn(asked, /\/confirm\//), {}).expect(200);
    await t.runDue();
    const welcome = (await mails())[1] as TestMail;
    await post('/p/niches', { email: 'waiting@example.com' }).expect(200);
    await t.runDue();
    const waiting = (await t.mailsTo('waiting@example.com'))[0] as TestMail;
    const placed = await post('/checkout/launch-kit', { email: READER }).expect(303);
    const paid = await post('/checkout/launch-kit', { email: 'buyer@example.com' }).expect(303);
    const thanks = await post(String(paid.headers.location), { outcome: 'paid' }).expect(303);
    await t.runDue();
    addresses = [
      '/',
      '/p/niches',
      '/f/niches.js',
      linkIn(waiting, /\/confirm\//),
      linkIn(asked, /\/confirm\//),
      linkIn(welcome, /\/u\//),
      linkIn(welcome, /\/preferences\//),
      linkIn(welcome, /\/c\//),
      linkIn(welcome, /\/o\//),
      '/offer/launch-kit',
      '/checkout/launch-kit',
      String(placed.headers.location),
      String(thanks.headers.location),
      '/mailbox',
      '/mailbox/1',
      '/mailbox/1/html',
      '/admin/setup',
      '/admin/login',
      '/api/docs',
      '/api/openapi.json',
      '/healthz',
      '/readyz',
      '/metrics',
    ];
  });

  it.each(['GET', 'HEAD'] as const)('by %s changes nothing about anybody', async (method) => {
    const before = await everything();
    for (const address of addresses) {
      const answer = await t.http[method === 'GET' ? 'get' : 'head'](address);
      expect([address, answer.status]).toEqual([address, expect.toSatisfy((status: number) => status < 400)]);
      expect(answer.headers['set-cookie']).toBeUndefined();
    }
    await t.runDue();
    expect(await everything()).toEqual(before);
  });

  it('at the bare address leads to the owner’s pages', async () => {
    const { status, headers } = await t.http.get('/');
    expect([status, headers.location]).toEqual([303, '/admin']);
  });

  /** All rows of all tables but those that only count looks, and those that tick by themselves. */
  async function everything(): Promise<Record<string, string>> {
    const tables: { name: string }[] = await t.dataSource.query(
      `select table_name as name from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'`,
    );
    const state: Record<string, string> = {};
    for (const { name } of tables) {
      if (/visit|tracking_event|tracking_batch|agenda|rate_limit|mailbox_mail/.test(name)) continue;
      const rows: { digest: string }[] = await t.dataSource.query(
        `select count(*) || ' ' || coalesce(md5(string_agg(r::text, '|' order by r::text)), '') as digest from "${name}" r
          where r::text not like '(tracking.unstored.%'`,
      );
      state[name] = rows[0]?.digest ?? '';
    }
    return state;
  }
});

describe('what nobody would type', () => {
  const bad = [
    '%00',
    '%ff',
    '%F0%9F%98%80',
    '..%2f..%2fetc%2fpasswd',
    encodeURIComponent(`'; drop table subscriber; --`),
    LONG,
    '%E2%80%AE',
    'constructor',
    '__proto__',
  ];
  const places = [
    (x: string) => `/p/${x}`,
    (x: string) => `/f/${x}.js`,
    (x: string) => `/confirm/${x}`,
    (x: string) => `/u/${x}`,
    (x: string) => `/preferences/${x}`,
    (x: string) => `/c/${x}`,
    (x: string) => `/offer/${x}`,
    (x: string) => `/offer/launch-kit?m=${x}`,
    (x: string) => `/checkout/${x}`,
    (x: string) => `/checkout/launch-kit/pay/${x}`,
    (x: string) => `/order/${x}`,
    (x: string) => `/download/${x}`,
    (x: string) => `/mailbox/${x}`,
    (x: string) => `/mailbox?cursor=${x}`,
    (x: string) => `/api/v1/funnels/${x}`,
    (x: string) => `/api/v1/subscribers?email=${x}`,
    (x: string) => `/assets/${x}`,
  ];

  it.each(bad.map((text) => [text.slice(0, 30), text]))(
    'in an address (%s) is no error of ours',
    async (_, text) => {
      for (const place of places) {
        for (const method of ['get', 'head', 'post'] as const) {
          const answer = await t.http[method](place(text)).set('Authorization', `Bearer ${API_KEY}`);
          expect([method, place(text).slice(0, 40), answer.status < 500]).toEqual([
            method,
            place(text).slice(0, 40),
            true,
          ]);
        }
      }
    },
  );

  it.each([
    ['nothing', {}, 422],
    ['two addresses', { email: ['a@example.com', 'b@example.com'] }, 422],
    ['an object', { email: { a: 'b' } }, 422],
    ['a NUL', { email: 'a\0@example.com' }, 422],
    ['3,000 letters', { email: `${LONG}@example.com` }, 422],
    ['a name of 3,000 letters', { email: 'n1@example.com', name: LONG }, 422],
    ['a name that turns the text round', { email: 'n2@example.com', name: 'Ada\u202Etxt' }, 422],
    ['a family of emoji', { email: 'n3@example.com', name: '👩‍👩‍👧' }, 200],
    ['a template', { email: 'n4@example.com', name: '{{ 7 | times: 7 }}{% raw %}' }, 200],
    ['a zone on Mars', { email: 'n5@example.com', timeZone: 'Mars/Olympus' }, 200],
    ['a token of 3,000 letters', { email: 'n6@example.com', t: LONG }, 200],
    ['an umlaut in front and behind', { email: 'jörg@müller.example', name: 'Jörg' }, 200],
  ])('in the form (%s) is answered in words', async (_, fields, status) => {
    const answer = await t.http
      .post('/p/niches')
      .set('Accept', 'text/html')
      .set('Referer', `http://x.example/${LONG}`)
      .set('User-Agent', LONG)
      .send(fields);
    expect([answer.status, answer.headers['content-type']]).toEqual([status, 'text/html; charset=utf-8']);
  });

  it('as a name arrives in the mail as it was typed, and is never read as a template', async () => {
    for (const email of ['n3@example.com', 'n4@example.com']) {
      await t.runDue();
      const asked = (await t.mailsTo(email))[0] as TestMail;
      await post(linkIn(asked, /\/confirm\//), {}).expect(200);
    }
    await t.runDue();
    const [family, template] = [await t.mailsTo('n3@example.com'), await t.mailsTo('n4@example.com')];
    expect(family[1]?.text).toContain('👩‍👩‍👧');
    expect(template[1]?.text).not.toContain('Welcome, 49');
    expect(template[1]?.text).toContain('{{');
  });
});

describe('the mailbox on this machine', () => {
  it.each([
    ['handed on by a proxy', { 'X-Forwarded-For': '203.0.113.9' }],
    ['under the name of another site', { Host: 'evil.example' }],
  ])('is shut for a visit %s', async (_, headers) => {
    const answer = await t.http.get('/mailbox').set(headers);
    expect([answer.status, answer.headers.location]).toEqual([303, expect.stringMatching(/^\/admin\//)]);
    expect((await t.http.post('/mailbox/skip-ahead').set(headers)).status).toBe(303);
  });
});

describe('every list of the API', () => {
  it('takes limit and cursor, and refuses what is none', async () => {
    const { body } = await t.http.get('/api/openapi.json').expect(200);
    // The headline figures of all funnels are a report, and one page.
    const lists = Object.entries<Record<string, Operation>>(body.paths).filter(
      ([path, { get }]) =>
        !path.includes('/analytics/') && JSON.stringify(get?.responses['200'] ?? '').includes('nextCursor'),
    );
    expect(lists.length).toBeGreaterThan(8);
    for (const [path, { get }] of lists) {
      const names = (get?.parameters ?? []).map(({ name }) => name);
      expect([path, names]).toEqual([path, expect.arrayContaining(['limit', 'cursor'])]);
      if (path.includes('{')) continue;
      for (const query of ['limit=0', 'limit=201', 'limit=x', 'cursor=zzz', 'cursr=1']) {
        const answer = await t.http.get(`${path}?${query}`).set('Authorization', `Bearer ${API_KEY}`);
        expect([path, query, answer.status]).toEqual([path, query, 422]);
        expect(answer.headers['content-type']).toBe('application/problem+json');
      }
    }
  });

  interface Operation {
    parameters?: { name: string }[];
    responses: Record<string, unknown>;
  }
});
