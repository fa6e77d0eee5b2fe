import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ImportJson } from '../../../src/imports/imports.schemas.js';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';
import { ownerPages } from '../../support/owner-pages.js';
import { joins, newReader, preferencesForm } from '../../support/reader.js';

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp();
});
afterAll(async () => t.close());

async function jobOf(csv: string, options: object = {}, dryRun = false): Promise<ImportJson> {
  const api = (path: string) => `/api/v1/imports${path}`;
  const columns = {
    ...{ paused: 'pausedUntil', topics: 'topicsOff', counted: 'trackingConsent', status: 'status' },
  };
  const used = Object.entries(columns).filter(([name]) => csv.split('\n', 1)[0]?.split(',').includes(name));
  const { body } = await t.http
    .post(api(''))
    .set('Authorization', `Bearer ${API_KEY}`)
    .send({ dryRun, options: { columns: Object.fromEntries(used), ...options }, csv })
    .expect(201);
  await t.app.get(JobRunner).run('imports.run');
  const { body: ended } = await t.http
    .get(api(`/${body.id}`))
    .set('Authorization', `Bearer ${API_KEY}`)
    .expect(200);
  return ended as ImportJson;
}

/** What became of the rows of a table, with the columns of an export. */
const imported = async (...how: Parameters<typeof jobOf>): Promise<ImportJson['counts']> =>
  (await jobOf(...how)).counts;

const ACTIVE = { status: 'active', consentText: 'Yes.' };
const inDays = (days: number): string => new Date(t.clock.now().getTime() + days * 86_400_000).toISOString();

async function pausesOf(emails: readonly (string | undefined)[]): Promise<(string | null)[]> {
  const rows: { until: Date | null }[] = await t.dataSource.query(
    'select paused_until as until from subscriber where email = any ($1) order by id',
    [emails],
  );
  return rows.map(({ until }) => until?.toISOString() ?? null);
}

/** What somebody does not want, and the evidence of it. */
async function noesOf(email: string): Promise<unknown> {
  const [noes] = await t.dataSource.query<unknown[]>(
    `select tracking_consent as counted, array(select topic_key from topic_opt_out o where o.subscriber_id = s.id order by 1) as off,
       array(select purpose from consent_event e where e.subscriber_id = s.id and e.kind = 'withdrawn' and purpose <> 'marketing' order by 1) as told
     from subscriber s where email = $1`,
    [email],
  );
  return noes;
}

it('takes the pause of somebody who is here already, also when told to leave them: the row was called unchanged, and mails went on', async () => {
  const names = ['here', 'left-alone', 'longer', 'over'].map((name) => `${name}@example.com`);
  await imported(
    `email,paused\n${names.map((name, nth) => `${name},${nth === 2 ? inDays(30) : ''}`).join('\n')}\n`,
    ACTIVE,
  );
  const [here, leftAlone, longer, over] = names;
  const table = `email,paused\n${here},${inDays(9)}\n${longer},${inDays(9)}\n${over},${inDays(-9)}\n`;
  const counts = { updated: 1, unchanged: 2 };
  expect(await imported(table, {}, true)).toMatchObject(counts);
  expect(await imported(table)).toMatchObject(counts);
  expect(await imported(`email,paused\n${leftAlone},${inDays(9)}\n`, { existing: 'skip' })).toMatchObject({
    skipped: 1,
  });
  expect(await pausesOf(names)).toEqual([inDays(9), inDays(9), inDays(30), null]);
  expect(await imported(table)).toMatchObject({ unchanged: 3 });
});

it('leaves the pause that a reader ended or made shorter here, unless the table knows of a longer one: an old table began it anew', async () => {
  const [ended, shorter] = [
    await newReader(t, 'ended@example.com'),
    await newReader(t, 'shorter@example.com'),
  ];
  const names = [ended.email, shorter.email];
  for (const { preferences } of [ended, shorter])
    await t.http.post(`${preferences}/pause`).type('form').send({ days: 90 }).expect(200);
  const [until] = await pausesOf(names);
  await t.http.post(`${ended.preferences}/resume`).expect(200);
  await t.http.post(`${shorter.preferences}/pause`).type('form').send({ days: 7 }).expect(200);
  const before = await pausesOf(names);
  const table = (at: string | null | undefined): string =>
    `email,paused\n${names.map((name) => `${name},${at}\n`).join('')}`;
  expect(await imported(table(until))).toMatchObject({ unchanged: 2 });
  expect(await pausesOf(names)).toEqual(before);
  const later = inDays(91);
  expect(await imported(table(later))).toMatchObject({ updated: 2 });
  expect(await pausesOf(names)).toEqual([later, later]);
});

it('takes a pause that somebody asked for elsewhere after they had ended a longer one here: mails went on for as long as that would have lasted', async () => {
  const [ended, back, shorter] = [
    await newReader(t, 'ended-longer@example.com'),
    await newReader(t, 'back-longer@example.com'),
    await newReader(t, 'shorter-now@example.com'),
  ];
  const names = [ended.email, back.email, shorter.email];
  const pause = async (preferences: string, days: number): Promise<unknown> =>
    t.http.post(`${preferences}/pause`).type('form').send({ days }).expect(200);
  for (const { preferences } of [ended, back, shorter]) await pause(preferences, 30);
  const first = await pausesOf(names);
  t.clock.advance(60_000);
  for (const { preferences } of [ended, back, shorter]) await pause(preferences, 90);
  const longer = await pausesOf(names);
  await t.http.post(`${ended.preferences}/resume`).expect(200);
  await t.http.post(back.unsubscribe).type('form').send('List-Unsubscribe=One-Click').expect(200);
  await joins(t, back.email);
  await pause(shorter.preferences, 7);
  const now = await pausesOf(names);
  const table = (at: (nth: number) => string | null | undefined): string =>
    `email,paused\n${names.map((name, nth) => `${name},${at(nth)}\n`).join('')}`;
  const toTheDay = (at: string | null | undefined): string => `${at?.slice(0, 10)}`;
  for (const known of [first, longer, first.map(toTheDay), longer.map(toTheDay)])
    expect(await imported(table((nth) => known[nth]))).toMatchObject({ unchanged: 3 });
  expect(await pausesOf(names)).toEqual(now);
  const elsewhere = inDays(60);
  expect(await imported(table(() => elsewhere))).toMatchObject({ updated: 3 });
  expect(await pausesOf(names)).toEqual(names.map(() => elsewhere));
  for (const { preferences } of [ended, back, shorter])
    await t.http.post(`${preferences}/resume`).expect(200);
  for (const known of [() => elsewhere, (nth: number) => now[nth] ?? elsewhere])
    expect(await imported(table(known))).toMatchObject({ unchanged: 3 });
});

it('takes the topics that somebody wants no mails about also when told to leave who is here: they were lost', async () => {
  await imported('email\nquiet@example.com\n', ACTIVE);
  const table = 'email,topics\nquiet@example.com,niche-ebook\n';
  expect(await imported(table, { existing: 'skip' })).toMatchObject({ skipped: 1 });
  expect(await noesOf('quiet@example.com')).toEqual({
    counted: true,
    off: ['niche-ebook'],
    told: ['topic:niche-ebook'],
  });
});

it('takes the noes of who has left or gets no newsletters, and of a row that changes nothing else: they were lost', async () => {
  const names = ['left', 'barred', 'leaves'].map((name) => `${name}@example.com`);
  await imported(`email\n${names.join('\n')}\n`, ACTIVE);
  await imported('email,status\nleft@example.com,unsubscribed\nleaves@example.com,unsubscribed\n');
  await t.dataSource.query('delete from suppression');
  await t.http
    .post('/api/v1/suppressions')
    .set('Authorization', `Bearer ${API_KEY}`)
    .send({ email: 'barred@example.com', scope: 'marketing' })
    .expect(({ status }) => expect(status).toBeLessThan(300));
  const [noes, paused] = ['false,niche-ebook', inDays(9)];
  const said = ['active', 'active', 'unsubscribed'];
  const rows = names.map((name, nth) => `${name},${noes},${said[nth]},${paused}\n`).join('');
  const counts = { keptOut: 1, suppressed: 1, unchanged: 1 };
  expect(await imported(`email,counted,topics,status,paused\n${rows}`)).toMatchObject(counts);
  expect(await pausesOf(names)).toEqual([paused, paused, paused]);
  for (const name of names)
    expect(await noesOf(name)).toEqual({
      counted: false,
      off: ['niche-ebook'],
      told: ['topic:niche-ebook', 'tracking'],
    });
});

it('takes the noes of every row of an address that stands twice in a table: those of the row left out were lost', async () => {
  const rows = [`,true,`, `niche-ebook,,${inDays(5)}`, `launch-kit,false,${inDays(3)}`];
  const table = `email,topics,counted,paused\n${rows.map((row) => `twofold@example.com,${row}\n`).join('')}single@example.com,,true,\n`;
  expect(await imported(table, ACTIVE)).toMatchObject({ created: 2, duplicate: 2 });
  const told = ['topic:launch-kit', 'topic:niche-ebook', 'tracking'];
  expect(await noesOf('twofold@example.com')).toEqual({
    counted: false,
    off: ['launch-kit', 'niche-ebook'],
    told,
  });
  expect(await pausesOf(['twofold@example.com'])).toEqual([inDays(5)]);
  expect(await noesOf('single@example.com')).toEqual({ counted: true, off: [], told: [] });
});

it('refuses a word that is no key of a topic, and tells of topics that are not here: a mistyped one stopped nothing, and nobody was told', async () => {
  const table =
    'email,topics\nknown@example.com,niche-ebook\nlater@example.com,"niche-ebook,to-come"\ntyped@example.com,Niche E-Book\n';
  const { advice, counts, source } = await jobOf(table, {}, true);
  expect(counts).toMatchObject({ created: 2, rejected: 1 });
  expect(advice).toMatchObject({ unknownTopic: 1 });
  // Their number alone said nothing of which was mistyped.
  expect(source).toMatchObject({ unknownTopics: ['to-come'] });
  await jobOf(table);
  expect(await noesOf('later@example.com')).toMatchObject({ off: ['niche-ebook', 'to-come'] });
});

it('takes the leaving, death or complaint of a row with a mistyped topic, and tells of that: the row was refused, and mails went on', async () => {
  const said = ['unsubscribed', 'bounced', 'complained'];
  const rows = (status: (nth: number) => string): string =>
    said.map((_, nth) => `mistyped${nth}@example.com,${status(nth)}\n`).join('');
  await imported(`email,status\n${rows(() => 'active')}`, ACTIVE);
  const table = `email,status,topics\n${rows((nth) => `${said[nth]},"Niche E-Book,niche-ebook"`)}`;
  const { advice, counts } = await jobOf(table);
  expect([counts, advice]).toMatchObject([{ left: 3 }, { onlyNoes: 3 }]);
  expect(counts['rejected'] ?? 0).toBe(0);
  const people: unknown = await t.dataSource.query(
    `select status, array(select topic_key from topic_opt_out o where o.subscriber_id = s.id) as off
       from subscriber s where email like 'mistyped%' order by email`,
  );
  expect(people).toEqual(said.map((status) => ({ status, off: ['niche-ebook'] })));
});

it('takes what a row with a mistyped date, number or name says is not wanted, and names the cell: mails went on to a complainant', async () => {
  const names = ['left', 'dead', 'junk', 'uncounted', 'paused', 'off'].map(
    (name) => `${name}-bad@example.com`,
  );
  await imported(`email\n${names.join('\n')}\n`, ACTIVE);
  const table = [
    'email,status,created_at,name,counted,paused,topics',
    `${names[0]},unsubscribed,3/4/2024,New,,,`,
    `${names[1]},bounced,,${'x'.repeat(101)},,,`,
    `${names[2]},complained,2024-02-30,New,,,`,
    `${names[3]},active,3/4/2024,New,false,,`,
    `${names[4]},perhaps,,New,,${inDays(9)},`,
    `${names[5]},active,,New,maybe,,"Niche E-Book,niche-ebook"`,
    `unheard-of@example.com,complained,3/4/2024,New,,,`,
    `wanted-bad@example.com,active,3/4/2024,New,,,`,
    '',
  ].join('\n');
  const dry = await jobOf(table, { existing: 'overwrite', ...ACTIVE }, true);
  expect(dry).toMatchObject({ counts: { left: 3, rejected: 5 }, advice: { onlyNoes: 7 } });
  const api = (method: 'get' | 'post', path: string) =>
    t.http[method](`/api/v1/imports/${dry.id}${path}`).set('Authorization', `Bearer ${API_KEY}`);
  await api('post', '/run').expect(200);
  await t.app.get(JobRunner).run('imports.run');
  const { body: job } = await api('get', '').expect(200);
  expect(job).toMatchObject({ state: 'done', counts: { left: 3, rejected: 5 } });
  expect(job.progress).toEqual({ totalRows: 8, doneRows: 8 });
  const people: unknown = await t.dataSource.query(
    `select status, name, tracking_consent as counted, paused_until is not null as paused,
         array(select topic_key from topic_opt_out o where o.subscriber_id = s.id) as off
       from subscriber s where email like '%-bad@example.com' or email like 'unheard%' order by id`,
  );
  const asBefore = { status: 'active', name: null, counted: true, paused: false, off: [] };
  expect(people).toEqual([
    { ...asBefore, status: 'unsubscribed' },
    { ...asBefore, status: 'bounced' },
    { ...asBefore, status: 'complained' },
    { ...asBefore, counted: false },
    { ...asBefore, paused: true },
    { ...asBefore, off: ['niche-ebook'] },
  ]);
  const { body: barred } = await t.http
    .get('/api/v1/suppressions?email=unheard-of@example.com')
    .set('Authorization', `Bearer ${API_KEY}`)
    .expect(200);
  expect(barred.data).toMatchObject([{ scope: 'all', reason: 'complaint' }]);
  const { text } = await api('get', '/rejected').expect(200);
  const lines = text.trim().split('\r\n');
  expect(lines).toHaveLength(9);
  expect(lines[3]).toMatch(/createdAt: .*is no date .*; the table says they left, and so it is/);
  expect(lines[6]).toContain(
    'trackingConsent: use true or false; only what it says they do not want is taken',
  );
  expect(lines[6]).toContain('Niche E-Book');
});

it('keeps a whole row before a refused one of the same address, with what that says is not wanted', async () => {
  const [twice, gone] = ['twice-bad@example.com', 'gone-bad-twice@example.com'];
  const table = `email,name,created_at,counted,status\n${twice},,3/4/2024,false,active\n${twice},Ada,,,active\n${gone},Ada,,,active\n${gone},,3/4/2024,,complained\n`;
  expect(await imported(table, ACTIVE)).toMatchObject({ created: 1, rejected: 1, duplicate: 2 });
  expect(await noesOf(twice)).toMatchObject({ counted: false });
  expect(await noesOf(gone)).toBeUndefined();
});

it('ends the pause of an old table for who comes back: they agreed anew, and nothing of a list went to them for months', async () => {
  const email = 'comes-back@example.com';
  const { unsubscribe } = await newReader(t, email);
  await t.http.post(unsubscribe).type('form').send('List-Unsubscribe=One-Click').expect(200);
  await imported(`email,status,paused\n${email},unsubscribed,${inDays(300)}\n`);
  expect(await pausesOf([email])).toEqual([inDays(300)]);
  await joins(t, email);
  expect(await pausesOf([email])).toEqual([null]);
});

it('leaves a pause over that had ended with a leaving and a new yes: an old table that still has it began it anew', async () => {
  const { email, preferences, unsubscribe } = await newReader(t, 'back@example.com');
  await t.http.post(`${preferences}/pause`).type('form').send({ days: 90 }).expect(200);
  const [until] = await pausesOf([email]);
  await t.http.post(unsubscribe).type('form').send('List-Unsubscribe=One-Click').expect(200);
  await joins(t, email);
  await imported(`email,status,paused\n${email},active,${until}\n`);
  expect(await pausesOf([email])).toEqual([null]);
});

it('ends the running series of a topic that an imported table says is not wanted: it went on, and its mails were held', async () => {
  const [quiet, back, other] = [
    await newReader(t, 'series@example.com'),
    await newReader(t, 'thinks-again@example.com'),
    await newReader(t, 'goes-on@example.com'),
  ];
  await imported(
    `email,topics\n${quiet.email},niche-ebook\n${back.email},niche-ebook\n${other.email},to-come\n`,
  );
  const wanted = preferencesForm({ topics: ['niche-ebook'], tracking: true });
  await t.http.post(back.preferences).type('form').send(wanted).expect(200);
  await t.app.get(JobRunner).run('privacy.leave-topics');
  const ends: unknown = await t.dataSource.query(
    `select s.email, e.status, e.exit_reason as reason from enrollment e join subscriber s on s.id = e.subscriber_id
      where s.id = any ($1) order by s.id`,
    [[quiet.id, back.id, other.id]],
  );
  expect(ends).toEqual([
    { email: quiet.email, status: 'exited', reason: expect.stringContaining('topic') },
    { email: back.email, status: 'active', reason: null },
    { email: other.email, status: 'active', reason: null },
  ]);
});

it('offers all rows of its report after a dry run: those that say that somebody left were not counted', async () => {
  const reader = await newReader(t, 'leaves-beside@example.com');
  const table = `email,status,age\n${reader.email},unsubscribed,old\nnobody,active,1\n`;
  const options = { columns: { status: 'status', age: 'createdAt' } };
  const { id } = await jobOf(table, options, true);
  const { cookie } = await ownerPages(t);
  const { text } = await t.http.get(`/admin/imports/${id}`).set('Cookie', cookie).expect(200);
  expect(text).toContain('Download 2 rows with their reasons');
});
