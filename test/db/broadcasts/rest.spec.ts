import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BroadcastsService } from '../../../src/broadcasts/broadcasts.service.js';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';
import { ownerPages } from '../../support/owner-pages.js';

const BODY = {
  title: 'News of January',
  template: 'emails/story',
  audience: { everybody: true },
  sender: { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St, Springfield' },
};

it('a broadcast with a dead link of our own does not start; dead links of others stop nothing', async () => {
  let status = 404;
  const asked: string[] = [];
  const web = createServer(({ url = '' }, answer) => {
    asked.push(url);
    answer.writeHead(status).end();
  });
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  const t = await startTestApp({ baseUrl: `http://127.0.0.1:${(web.address() as AddressInfo).port}` });
  const broadcasts = t.app.get(BroadcastsService, { strict: false });
  const draft = { ...BODY, audience: { everybody: true as const }, topic: null, expiresAt: null };
  const { id } = await broadcasts.create(draft);
  await expect(broadcasts.start(id, null)).rejects.toMatchObject({
    code: 'BROADCAST_PREFLIGHT_INVALID',
    message: expect.stringMatching(
      /templates\/emails\/story\.mjml: http:.*three-questions\.html answers 404/,
    ),
  });
  status = 200;
  expect(await broadcasts.start(id, null)).toMatchObject({ state: 'scheduled' });
  expect(asked.every((path) => path.startsWith('/assets/'))).toBe(true);
  await t.close();
  web.closeAllConnections();
  await new Promise((resolve) => web.close(resolve));
});

describe('broadcasts by REST and on the owner’s page', () => {
  let t: TestApp;
  beforeAll(async () => {
    t = await startTestApp();
    await t.dataSource.query(
      `insert into subscriber (email, email_key, status, created_at, updated_at)
       select 'p' || g || '@example.com', 'p' || g || '@example.com', 'active', now(), now() from generate_series(1, 3) g`,
    );
  });
  afterAll(async () => t.close());

  const run = async (job: string): Promise<void> => {
    expect(await t.app.get(JobRunner).run(job)).toBe('done');
  };
  const post = (path: string, body: object = {}) =>
    t.http.post(`/api/v1/broadcasts${path}`).set('Authorization', `Bearer ${API_KEY}`).send(body);
  const get = (path: string) =>
    t.http.get(`/api/v1/broadcasts${path}`).set('Authorization', `Bearer ${API_KEY}`);
  const created = async (change: object = {}): Promise<string> =>
    (await post('', { ...BODY, ...change }).expect(201)).body.id as string;

  it('is written, changed, counted, scheduled, started, and shown with its mails', async () => {
    const id = await created({ expiresAt: '2026-02-01T00:00:00+01:00' });
    const { body: draft } = await get(`/${id}`).expect(200);
    expect(draft).toMatchObject({
      ...BODY,
      state: 'draft',
      topic: 'news',
      expiresAt: '2026-01-31T23:00:00.000Z',
      scheduledAt: null,
      counts: {},
      complete: false,
    });
    const { body: changed } = await t.http
      .patch(`/api/v1/broadcasts/${id}`)
      .set('Authorization', `Bearer ${API_KEY}`)
      .send({ title: 'News of the month', topic: 'tips', expiresAt: null })
      .expect(200);
    expect(changed).toMatchObject({
      title: 'News of the month',
      topic: 'tips',
      expiresAt: null,
      template: 'emails/story',
    });
    expect((await get(`/${id}/audience`).expect(200)).body).toEqual({ size: 3 });
    const at = '2026-01-05T10:00:00.000Z';
    expect((await post(`/${id}/start`, { at }).expect(200)).body).toMatchObject({
      state: 'scheduled',
      scheduledAt: at,
    });
    expect((await post(`/${id}/start`).expect(200)).body).toMatchObject({
      state: 'scheduled',
      scheduledAt: at,
    });
    await run('broadcasts.plan');
    expect((await get(`/${id}`)).body).toMatchObject({ state: 'scheduled' });
    t.clock.set(at);
    await run('broadcasts.plan');
    expect((await get(`/${id}`)).body).toMatchObject({
      state: 'running',
      counts: { ready: 3 },
      startedAt: at,
    });
    await run('delivery.send-due');
    await run('broadcasts.plan');
    expect((await get(`/${id}`)).body).toMatchObject({
      state: 'done',
      counts: { accepted: 3 },
      complete: true,
    });
    expect(await t.mailsTo('p2@example.com')).toHaveLength(1);
    const { body: page } = await get('?limit=1').expect(200);
    expect(page.data).toMatchObject([{ id, state: 'done', title: 'News of the month' }]);
  });

  it('starts at the local hour of its readers, tries arms, tells results, and is sent once more', async () => {
    const split = { arms: [{}, { subject: 'B' }], testPercent: 50, waitMinutes: 60, judge: 'clicks' };
    const id = await created({ subject: 'Hello', split });
    const tomorrow = new Date(t.clock.now().getTime() + 86_400_000).toISOString().slice(0, 10);
    const when = { atLocal: `${tomorrow}T09:30`, fallbackZone: 'asia/tokyo', spreadMinutes: 30 };
    const { body } = await post(`/${id}/start`, when).expect(200);
    expect(body).toMatchObject({
      subject: 'Hello',
      scheduledAt: new Date(Date.parse(`${tomorrow}T09:30Z`) - 14 * 3_600_000).toISOString(),
      timing: { ...when, fallbackZone: 'Asia/Tokyo', ifPassed: 'nextDay', withoutZone: 0, hourPassed: 0 },
      split: {
        arms: [
          { key: 'a', template: 'emails/story', subject: 'Hello', sent: null, revenue: null },
          { key: 'b', template: 'emails/story', subject: 'B', clickers: null },
        ],
        testPercent: 50,
        decidesAt: null,
        decision: null,
      },
      estimate: null,
      resendOf: null,
    });
    expect((await post(`/${id}/resend`, { subject: 'C' }).expect(409)).body).toMatchObject({
      code: 'BROADCAST_STATE_CONFLICT',
    });
    t.clock.set(`${tomorrow}T00:00:00Z`);
    await run('broadcasts.plan');
    expect((await get(`/${id}`)).body).toMatchObject({
      timing: { withoutZone: expect.any(Number) },
      estimate: { remaining: expect.any(Number) },
    });
    // The test, its result, and the hour of the next day.
    for (const hours of [1, 2, 22]) {
      t.clock.advance(hours * 3_600_000);
      await run('delivery.send-due');
      await run('broadcasts.plan');
      await run('broadcasts.plan');
    }
    const { body: done } = await get(`/${id}`);
    expect(done).toMatchObject({
      state: 'done',
      split: {
        decision: {
          verdict: 'no_winner',
          because: 'horizon',
          arm: 'a',
          text: expect.stringMatching(/^No winner: /),
        },
      },
    });
    // Of another topic, and of being measured: nobody has left.
    await t.dataSource.query(
      `insert into consent_event (subscriber_id, kind, purpose, at)
       select m.subscriber_id, 'withdrawn', w.purpose, $2 from message m, unnest(array['topic:course', 'tracking']) w (purpose)
       where m.broadcast_id = $1`,
      [id, t.clock.now()],
    );
    expect((await get(`/${id}/results`).expect(200)).body).toEqual({
      ...{
        sent: done.counts.accepted,
        tried: done.counts.accepted,
        opened: 0,
        clicked: 0,
        bounced: 0,
        complained: 0,
        left: 0,
      },
      ...{ orders: 0, revenue: [], ordersOfArms: [] },
      holdout: null,
      words: null,
    });
    const { body: again } = await post(`/${id}/resend`, { subject: 'C' }).expect(201);
    expect(again).toMatchObject({
      state: 'draft',
      resendOf: id,
      audience: { resendOf: id, unless: 'opened' },
    });
    expect((await get(`/${again.id}/audience`)).body).toEqual({ size: done.counts.accepted });
    await post(`/${id}/resend`, { subject: 'D' }).expect(409);
  });

  it.each([
    ['two times', { at: '2030-01-01T00:00:00Z', atLocal: '2030-01-01T09:30' }],
    ['a local time that is none', { atLocal: '9:30' }],
    ['a day that is none', { atLocal: '2030-02-30T09:30' }],
    ['a zone that is none', { atLocal: '2030-01-01T09:30', fallbackZone: '+02:00' }],
    ['a zone without a local time', { fallbackZone: 'UTC' }],
    ['a rule for the late without a local time', { ifPassed: 'skip' }],
    ['a rule it does not know', { atLocal: '2030-01-01T09:30', ifPassed: 'never' }],
    ['a timezone without a local time', { timezone: 'UTC' }],
    ['a timezone that is none', { atLocal: '2030-01-01T09:30', timezone: 'everywhere' }],
    ['one clock and a fallback', { atLocal: '2030-01-01T09:30', timezone: 'UTC', fallbackZone: 'UTC' }],
    ['a spread of more than a week', { spreadMinutes: 10_081 }],
    ['an hour that is over everywhere', { atLocal: '2020-01-01T09:30' }],
  ])('does not start with %s', async (_, when) => {
    const id = await created();
    expect((await post(`/${id}/start`, when).expect(422)).body.code).toMatch(
      /^(REQUEST|BROADCAST_TIMING)_INVALID$/,
    );
    expect((await get(`/${id}`)).body).toMatchObject({ state: 'draft' });
  });

  it.each([
    ['an audience of those who did not open something', { audience: { resendOf: '1', unless: 'opened' } }],
    ['a subject that breaks the line', { subject: 'a\nBcc: x' }],
    ['a test of one arm', { split: { arms: [{}], testPercent: 50, waitMinutes: 60, judge: 'clicks' } }],
    ['a field it does not know', { segment: 'all' }],
    ['an audience that says nothing', { audience: {} }],
    ['a sender without a postal address', { sender: { name: 'Ada', email: 'ada@example.com' } }],
    ['a sender whose name breaks the line', { sender: { ...BODY.sender, name: 'Ada\r\nBcc: x' } }],
    ['a title that breaks the line', { title: 'News\r\nBcc: x' }],
    ['a title that turns its letters round', { title: 'News \u202Eof January' }],
    ['a title of 201 characters', { title: 'x'.repeat(201) }],
    [
      'a sender whose address breaks the line',
      { sender: { ...BODY.sender, email: 'ada@example.com\r\nBcc: x@example.com' } },
    ],
    ['a sender whose name is too long', { sender: { ...BODY.sender, name: 'x'.repeat(101) } }],
    ['a template outside its folder', { template: '../config/env' }],
    ['a time without a zone', { expiresAt: '2026-02-01T00:00:00' }],
  ])('refuses %s', async (_, change) => {
    expect((await post('', { ...BODY, ...change }).expect(422)).body.code).toBe('REQUEST_INVALID');
  });

  it('tells of arms with an hour, a holdout, guard rails and the chance of a false winner', async () => {
    const test = { arms: [{}, { at: '20:00' }], testPercent: 50, waitMinutes: 60, judge: 'clicks' };
    const care = { alpha: 0.01, holdout: '10%', guardRails: { complaints: '0.3%' } };
    const id = await created({ split: { ...test, ...care } });
    const { body } = await post(`/${id}/start`, {
      ...{ atLocal: '2030-01-02T09:00', timezone: 'europe/vienna' },
    }).expect(200);
    expect(body).toMatchObject({
      ...{ scheduledAt: '2030-01-02T08:00:00.000Z', timing: { timezone: 'Europe/Vienna' } },
      split: {
        arms: [
          { at: null, stopped: null },
          { at: '20:00', unsubscribes: null, lift: null, pValue: null },
        ],
        ...{ alpha: 0.01, holdout: '10%', guardRails: { unsubscribes: null, complaints: '0.3%' } },
      },
    });
    const refused = async (change: object): Promise<string> =>
      JSON.stringify((await post('', { ...BODY, split: { ...test, ...change } }).expect(422)).body);
    expect(await refused({ testPercent: 90, holdout: '10%' })).toMatch(
      /split\.holdout.*together they must stay below 100 %/,
    );
    expect(await refused({ alpha: 0.5 })).toMatch(/split\.alpha.*from 0\.001 to 0\.2/);
    expect(await refused({ guardRails: { opens: '1%' } })).toMatch(
      /guardRails.opens.*unsubscribes.*complaints/,
    );
    expect(await refused({ arms: [{}, { at: 'noon' }] })).toMatch(/split\.arms\.1\.at.*time of day/);
    const none = await created({ split: test });
    expect((await post(`/${none}/start`).expect(422)).body).toMatchObject({
      ...{ code: 'BROADCAST_TIMING_INVALID', detail: expect.stringMatching(/^atLocal: arms /) },
    });
  });

  it('names the file of a mail that cannot be sent, before the first mail', async () => {
    const { body } = await post('', { ...BODY, template: 'emails/none' }).expect(404);
    expect(body).toMatchObject({ code: 'TEMPLATE_NOT_FOUND' });
    expect(body.detail).toContain('templates/emails/none.mjml');
  });

  it('with a key of its own is written once, however often it is asked for', async () => {
    const body = { ...BODY, key: 'news-2026-01' };
    const answers = await Promise.all([1, 2, 3].map(async () => post('', body).expect(201)));
    const ids = new Set(answers.map((answer) => answer.body.id as string));
    expect(ids.size).toBe(1);
    const again = await post('', { ...body, title: 'Other words' }).expect(201);
    expect(again.body).toMatchObject({ id: [...ids][0], key: 'news-2026-01', title: BODY.title });
    expect((await post('', BODY).expect(201)).body).toMatchObject({ key: null });
    await post('', { ...BODY, key: 'Not a key' }).expect(422);
  });

  it('starts nothing that would reach its readers broken, and names file and line', async () => {
    const id = await created({ template: 'emails/welcome', topic: 'niche-ebook' });
    const { body: report } = await post(`/${id}/preflight`).expect(200);
    expect(report).toMatchObject({ template: 'emails/welcome', ok: false });
    const { body } = await post(`/${id}/start`).expect(422);
    expect(body).toMatchObject({ code: 'BROADCAST_PREFLIGHT_INVALID' });
    expect(body.detail).toMatch(
      /^templates\/emails\/welcome\.mjml:\d+: it prints \{\{ download\S* \}\}, which is empty here for everybody/,
    );
    expect(body.facts.findings[0]).toMatchObject({ check: 'variables', level: 'fail' });
    await run('broadcasts.plan');
    expect((await get(`/${id}`)).body).toMatchObject({ state: 'draft', counts: {} });
    const good = await created();
    expect((await post(`/${good}/preflight`).expect(200)).body).toMatchObject({ ok: true });
    await post('/999999/preflight').expect(404);
    await post('/999999/start').expect(404);
  });

  it('refuses what does not fit the state, and knows when it is asked twice', async () => {
    const id = await created();
    expect((await post(`/${id}/pause`).expect(409)).body).toMatchObject({
      code: 'BROADCAST_STATE_CONFLICT',
      facts: { state: 'draft' },
    });
    await post(`/${id}/start`, { at: '2030-01-01T00:00:00Z' }).expect(200);
    expect((await post(`/${id}/pause`).expect(200)).body).toMatchObject({ state: 'paused' });
    expect((await post(`/${id}/pause`).expect(200)).body).toMatchObject({ state: 'paused' });
    expect((await post(`/${id}/resume`).expect(200)).body).toMatchObject({ state: 'scheduled' });
    expect((await post(`/${id}/cancel`).expect(200)).body).toMatchObject({
      state: 'cancelled',
      complete: true,
    });
    expect((await post(`/${id}/cancel`).expect(200)).body).toMatchObject({ state: 'cancelled' });
    await post(`/${id}/start`).expect(409);
    await get('/999999').expect(404);
    await t.http.get('/api/v1/broadcasts').expect(401);
  });

  it('is paused, goes on and is cancelled on the owner’s page, by the owner alone', async () => {
    const id = await created({ title: 'For <everybody>' });
    await post(`/${id}/start`).expect(200);
    await run('broadcasts.plan');
    expect((await t.http.get('/admin/broadcasts').expect(303)).headers['location']).toBe('/admin/setup');
    const { cookie } = await ownerPages(t);
    const press = (action: string) => t.http.post(`/admin/broadcasts/${id}/${action}`).set('Cookie', cookie);
    const { text } = await t.http.get('/admin/broadcasts').set('Cookie', cookie).expect(200);
    expect(text).toContain('For &lt;everybody&gt;');
    expect(text).toContain(`action="/admin/broadcasts/${id}/pause"`);
    await press('pause').set('Origin', 'https://evil.example').expect(403);
    await t.http.post(`/admin/broadcasts/${id}/pause`).expect(303);
    expect((await get(`/${id}`)).body.state).toBe('running');
    await press('pause').expect(303);
    expect((await get(`/${id}`)).body).toMatchObject({ state: 'paused', stateReason: 'paused by the owner' });
    await press('resume').expect(303);
    expect((await get(`/${id}`)).body.state).toBe('running');
    await press('explode').expect(404);
    await press('cancel').expect(303);
    expect((await get(`/${id}`)).body.state).toBe('cancelled');
  });
});
