import { createPublicKey, verify } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { API_KEY, linkIn, startTestApp, type TestApp, type TestMail } from '../../support/app.js';
import { newReader, preferencesForm, type Reader } from '../../support/reader.js';

const MINUTE_MS = 60_000;
const DAY_MS = 1_440 * MINUTE_MS;

let t: TestApp;
let count = 0;
let reader: Reader;
beforeAll(async () => {
  t = await startTestApp();
});
afterAll(async () => t.close());
beforeEach(async () => {
  reader = await newReader(t, `chooser${++count}@example.com`, { name: 'Chris Chooser' });
});

const rows = async <Row>(sql: string): Promise<Row[]> => t.dataSource.query<Row[]>(sql, [reader.id]);
const save = (fields: Parameters<typeof preferencesForm>[0]) =>
  t.http.post(reader.preferences).type('form').send(preferencesForm(fields));
const consents = async (): Promise<unknown[]> =>
  rows(`select kind, purpose, consent_text as words, page_url as page from consent_event
    where subscriber_id = $1 and purpose <> 'marketing' order by id`);
const nextMail = async (): Promise<TestMail> => {
  t.clock.advance(5 * DAY_MS);
  await t.runDue();
  return (await t.mailsTo(reader.email)).at(-1) as TestMail;
};

describe('the preferences page', () => {
  it('shows what there is to choose, the address masked, and is kept by nobody on the way', async () => {
    const page = await t.http.get(reader.preferences).expect(200);
    expect(page.text).toContain('c***@example.com');
    expect(page.text).not.toContain(reader.email);
    expect(page.text).toContain('Send me mails about: 75 niches that pay');
    expect(page.headers).toMatchObject({
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-robots-tag': 'noindex',
    });
  });

  it('changes nothing by looking or by a POST without its form', async () => {
    await t.http.head(reader.preferences).expect(200);
    await t.http.post(reader.preferences).expect(200);
    await t.http.post(reader.preferences).type('form').send({ trackingConsent: '' }).expect(200);
    expect(await consents()).toEqual([]);
    expect(await rows('select topic_key from topic_opt_out where subscriber_id = $1')).toEqual([]);
  });

  it('ends the series of a topic nobody wants any more, and keeps the words of the decision', async () => {
    await save({ tracking: true }).expect(200).expect(/Saved/);
    expect(await rows('select topic_key as key from topic_opt_out where subscriber_id = $1')).toEqual([
      { key: 'niche-ebook' },
    ]);
    expect(await rows('select status, exit_reason as why from enrollment where subscriber_id = $1')).toEqual([
      { status: 'exited', why: 'topic opt-out' },
    ]);
    expect(await consents()).toEqual([
      {
        kind: 'withdrawn',
        purpose: 'topic:niche-ebook',
        words: 'Send me mails about: 75 niches that pay',
        page: 'preferences page',
      },
    ]);
    expect((await nextMail()).id).toBe(reader.welcome.id);
    expect(await rows('select status from subscriber where id = $1')).toEqual([{ status: 'active' }]);
    const page = await t.http.get(reader.preferences).expect(200);
    expect(page.text).toMatch(/name="topic" value="niche-ebook" type="checkbox">/);
  });

  it('leaves a topic alone that the page did not show', async () => {
    await save({ shown: ['another'], tracking: true }).expect(200);
    expect(await rows('select 1 from topic_opt_out where subscriber_id = $1')).toEqual([]);
  });

  it('gives a topic back, by the page or by signing up to it again', async () => {
    await save({ tracking: true }).expect(200);
    await save({ topics: ['niche-ebook'], tracking: true }).expect(200);
    expect(await rows('select 1 from topic_opt_out where subscriber_id = $1')).toEqual([]);
    expect(await consents()).toMatchObject([{ kind: 'withdrawn' }, { kind: 'granted' }]);
  });

  it('sends the mails on without a pixel and with plain links to who does not want to be counted', async () => {
    await save({ topics: ['niche-ebook'] }).expect(200);
    const mail = await nextMail();
    expect(mail.id).not.toBe(reader.welcome.id);
    expect(mail.html).not.toMatch(/\/o\/|\/c\//);
    expect(reader.welcome.html).toMatch(/\/c\//);
    await save({ topics: ['niche-ebook'], tracking: true }).expect(200);
    const words = 'Count the mails I open and the links I press';
    expect(await consents()).toMatchObject([
      { kind: 'withdrawn', purpose: 'tracking', words },
      { kind: 'granted', purpose: 'tracking', words },
    ]);
  });

  it('stops everything by one press', async () => {
    await t.http
      .post(`${reader.preferences}/leave`)
      .expect(200)
      .expect(/no more newsletters/);
    expect(await rows('select status from subscriber where id = $1')).toEqual([{ status: 'unsubscribed' }]);
    expect(await rows('select status from enrollment where subscriber_id = $1')).toEqual([
      { status: 'exited' },
    ]);
  });
});

/** A person's rows in these wait for a moment to be taken up by a job, and say nothing that other parts do not. */
const PASSING = [
  'tag_signal',
  'list_signal',
  'field_signal',
  'sequence_signal',
  'seen_to_forget',
  'topic_to_leave',
  'waiting_leaving',
];
/** Where they are part of what the service asks other modules. */
const ELSEWHERE = ['subscriber_tag', 'topic_opt_out'];

describe('a copy of the data', () => {
  const ask = async (): Promise<void> => {
    await t.http
      .post(`${reader.preferences}/export`)
      .expect(200)
      .expect(/c\*\*\*@example\.com/);
    await t.runDue();
  };
  const links = async (): Promise<string[]> =>
    (await t.mailsTo(reader.email))
      .filter(({ html }) => html.includes('/my-data/'))
      .map((mail) => linkIn(mail, /\/my-data\//));

  it('goes by mail to the address itself, as a link that shows nothing when it is opened', async () => {
    await ask();
    const [link = ''] = await links();
    const page = await t.http.get(link).expect(200).expect('cache-control', 'no-store');
    expect(page.text).not.toContain(reader.email);
    const file = await t.http
      .post(link)
      .expect(200)
      .expect('content-disposition', /my-data\.json/);
    expect(file.body).toMatchObject({
      profile: { email: reader.email, name: 'Chris Chooser' },
      topics: [{ key: 'niche-ebook', optedOut: false }],
      signups: [{ form: 'niches', status: 'confirmed' }],
      sequences: [{ status: 'active' }],
      mails: [{ kind: 'confirmation' }, { step: 'welcome', state: 'accepted' }, { step: 'my-data' }],
      consents: [
        {
          kind: 'granted',
          purpose: 'marketing',
          form: 'niches',
          wordingSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
        },
        { kind: 'confirmed' },
      ],
    });
  });

  it('has a part for every table that holds something of a person; lists and events were missing', async () => {
    const tables: { name: string }[] = await t.dataSource.query(
      `select table_name as name from information_schema.columns
       where table_schema = 'public' and column_name = 'subscriber_id' order by 1`,
    );
    const sql = await readFile('src/privacy/personal-data.queries.ts', 'utf8');
    const asked = (name: string): boolean => new RegExp(`(from|join) ${name}\\b`).test(sql);
    const left = tables.map(({ name }) => name).filter((name) => !asked(name));
    expect(left.toSorted()).toEqual([...PASSING, ...ELSEWHERE].toSorted());
    await rows(
      `insert into subscriber_event (subscriber_id, name, key, at, created_at) values ($1, 'trial', 'k', now(), now())`,
    );
    await rows(`with l as (insert into list (key, title, created_at) values ('guests', 'Guests', now()) returning id)
      insert into list_member (list_id, subscriber_id, created_at) select l.id, $1, now() from l`);
    const { body } = await t.http
      .get(`/api/v1/subscribers/${reader.id}/export`)
      .set('Authorization', `Bearer ${API_KEY}`)
      .expect(200);
    expect(body).toMatchObject({
      lists: [{ key: 'guests', title: 'Guests' }],
      events: [{ name: 'trial', key: 'k' }],
      sequences: [{ data: { download: { name: expect.any(String) } } }],
      toldByWebhook: [],
    });
  });

  it('carries a receipt of the consents that anybody can check with the published key, and nobody can change', async () => {
    await ask();
    const { body } = await t.http.post((await links())[0] ?? '').expect(200);
    const { jws } = body.consentReceipt as { jws: string };
    const [head = '', content = '', signature = ''] = jws.split('.');
    const published = await t.http.get('/.well-known/jwks.json').expect(200);
    const { kid } = JSON.parse(Buffer.from(head, 'base64url').toString()) as { kid: string };
    const jwk = published.body.keys.find((key: { kid: string }) => key.kid === kid);
    const key = createPublicKey({ key: jwk, format: 'jwk' });
    const good = (text: string): boolean =>
      verify(null, Buffer.from(`${head}.${text}`), key, Buffer.from(signature, 'base64url'));
    expect(good(content)).toBe(true);
    const said = JSON.parse(Buffer.from(content, 'base64url').toString()) as {
      consents: { wording: string }[];
    };
    expect(said).toMatchObject({ sub: reader.email, consents: [{ kind: 'granted' }, { kind: 'confirmed' }] });
    expect(said.consents[0]?.wording).toMatch(/^Send me the guide/);
    expect(good(Buffer.from(JSON.stringify({ ...said, sub: 'x@example.com' })).toString('base64url'))).toBe(
      false,
    );
  });

  it('ends after half an hour, and its link is good for nothing else', async () => {
    await ask();
    const [link = ''] = await links();
    const token = link.split('/').at(-1) ?? '';
    await t.http.get(`/preferences/${token}`).expect(404);
    await t.http.post(`/u/${token}`).expect(404);
    await t.http.post(`/erase/${token}`).type('form').send({ understood: 'yes' }).expect(404);
    expect(await rows('select 1 as one from subscriber where id = $1')).toEqual([{ one: 1 }]);
    await t.http.post(`/my-data/${reader.preferences.split('/').at(-1)}`).expect(404);
    t.clock.advance(30 * MINUTE_MS);
    await t.http.get(link).expect(410);
    await t.http.post(link).expect(410);
  });

  it('floods nobody: one mail in ten minutes, three a day', async () => {
    for (const [wait, sent] of [
      [0, 1],
      [0, 1],
      [10 * MINUTE_MS, 2],
      [10 * MINUTE_MS, 3],
      [10 * MINUTE_MS, 3],
      [DAY_MS, 4],
    ] as const) {
      t.clock.advance(wait);
      await ask();
      expect(await links()).toHaveLength(sent);
    }
  });

  it('goes to the address of the row whatever host the request names', async () => {
    await t.http
      .post(`${reader.preferences}/export`)
      .set({ Host: 'evil.example', 'X-Forwarded-Host': 'evil.example' })
      .expect(200);
    await t.runDue();
    const mail = (await t.mailsTo(reader.email)).at(-1) as TestMail;
    expect(mail.html).toContain('http://localhost:3000/my-data/');
    expect(mail.html).not.toContain('evil.example');
  });
});
