import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { BroadcastReports } from '../../../src/broadcasts/broadcast-reports.service.js';
import { BroadcastsService } from '../../../src/broadcasts/broadcasts.service.js';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { SubscribersService } from '../../../src/subscribers/subscribers.service.js';
import { LeaveService } from '../../../src/subscribers/leave.service.js';
import { API_KEY, linkIn, startTestApp, type TestApp } from '../../support/app.js';
import { joins, newReader, type Reader } from '../../support/reader.js';

const DAY_MS = 86_400_000;

let t: TestApp;
let count = 0;
let reader: Reader;
beforeAll(async () => {
  t = await startTestApp();
});
afterAll(async () => t.close());
beforeEach(async () => {
  reader = await newReader(t, `pauser${++count}@example.com`, { name: 'Pia Pauser' });
});

const run = async (job: string): Promise<void> => {
  expect(await t.app.get(JobRunner).run(job)).toBe('done');
};
const press = (action: string, body: object = {}) =>
  t.http.post(`${reader.preferences}/${action}`).type('form').send(body);
const mails = async (): Promise<number> => (await t.mailsTo(reader.email)).length;
const rows = async <Row>(sql: string): Promise<Row[]> => t.dataSource.query<Row[]>(sql, [reader.id]);
const explain = async (query: string): Promise<{ decidedBy: string; answer: string }> =>
  (
    await t.http
      .get(`/api/v1/messages/explain?subscriberId=${reader.id}&${query}`)
      .set('Authorization', `Bearer ${API_KEY}`)
      .expect(200)
  ).body as { decidedBy: string; answer: string };
const SENDER = { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St, Springfield' };
const startedBroadcast = async (audience: object = { everybody: true }): Promise<string> => {
  const broadcasts = t.app.get(BroadcastsService, { strict: false });
  const draft = { title: 'News', template: 'emails/story', sender: SENDER, topic: null, expiresAt: null };
  const { id } = await broadcasts.create({ ...draft, audience: audience as { everybody: true } });
  await broadcasts.start(id, null);
  await run('broadcasts.plan');
  return id;
};

describe('a pause', () => {
  it.each([7, 30, 90])(
    'of %i days holds every mail until its end, and the series goes on after it',
    async (days) => {
      const before = await mails();
      await press('pause', { days: String(days) })
        .expect(200)
        .expect(/Done: a pause until/)
        .expect(/End the pause/);
      t.clock.advance((days - 1) * DAY_MS);
      await run('privacy.end-pauses');
      await t.runDue();
      expect(await mails()).toBe(before);
      expect(await explain('funnel=niche-ebook&step=story')).toMatchObject({
        decidedBy: 'PAUSED_BY_READER',
        answer: expect.stringContaining('a pause until'),
      });
      t.clock.advance(4 * DAY_MS);
      await run('privacy.end-pauses');
      await t.runDue();
      expect(await mails()).toBe(before + 1);
    },
  );

  it('holds a step that was planned already, tells why, and lets it go when the reader ends the pause', async () => {
    const before = await mails();
    await rows(
      `insert into message (dedupe_key, class, kind, subscriber_id, enrollment_id, funnel_key, step_key, email_template_id, data, sender,
         address, address_hash, message_id_header, due_at, created_at, lane_key)
       select 'again:' || id, class, kind, subscriber_id, enrollment_id, funnel_key, step_key, email_template_id, data, sender, address,
         address_hash, '<again-' || message_id_header, due_at, created_at, lane_key
       from message where subscriber_id = $1 and step_key = 'welcome'`,
    );
    await press('pause', { days: '30' }).expect(200);
    await t.runDue();
    const mine = await rows<{ state: string; reason: string }>(
      `select state, state_reason as reason from message where subscriber_id = $1 and dedupe_key like 'again:%'`,
    );
    expect(mine).toEqual([{ state: 'held', reason: 'paused by the reader' }]);
    expect(await explain('funnel=niche-ebook&step=welcome')).toMatchObject({ decidedBy: 'PAUSED_BY_READER' });
    // Not the owner's to decide.
    const state = await t.http
      .get('/api/v1/sending/state')
      .set('Authorization', `Bearer ${API_KEY}`)
      .expect(200);
    expect(state.body.held).toEqual([]);
    await t.http.post('/api/v1/messages/held/release').set('Authorization', `Bearer ${API_KEY}`).send({});
    await t.runDue();
    expect(await mails()).toBe(before);
    await press('resume')
      .expect(200)
      .expect(/The pause is over/);
    await t.runDue();
    expect(await mails()).toBeGreaterThan(before);
    expect(await rows(`select 1 from message where subscriber_id = $1 and state = 'held'`)).toEqual([]);
  });

  it('ends with a leaving and a new yes: who came back got nothing until its end', async () => {
    await press('pause', { days: '90' }).expect(200);
    await t.http.post(reader.unsubscribe).type('form').send('List-Unsubscribe=One-Click').expect(200);
    t.clock.advance(DAY_MS);
    await joins(t, reader.email);
    await t.runDue();
    const before = await mails();
    await startedBroadcast();
    await t.runDue();
    expect(await mails()).toBe(before + 1);
  });

  it.each([
    ['begins meanwhile', false],
    ['was planned before', true],
  ])('is passed by by a broadcast that %s, which is done without them, and explained', async (_, before) => {
    const pause = async (): Promise<unknown> => press('pause', { days: '90' }).expect(200);
    if (!before) await pause();
    const id = await startedBroadcast();
    if (before) await pause();
    await t.runDue();
    await run('broadcasts.plan');
    expect(await t.app.get(BroadcastReports, { strict: false }).get(id)).toMatchObject({
      state: 'done',
      complete: true,
    });
    expect(await explain(`broadcastId=${id}`)).toMatchObject({
      decidedBy: 'PAUSED_BY_READER',
      answer: expect.stringContaining('A broadcast does not come later'),
    });
    await press('resume').expect(200);
    await t.runDue();
    expect(
      await rows(
        `select 1 from message where subscriber_id = $1 and kind = 'broadcast' and state <> 'suppressed'`,
      ),
    ).toEqual([]);
  });

  it('does not keep back what they ask for, is in their data, and is no length but those on offer', async () => {
    await press('pause', { days: '3650' }).expect(200);
    await press('pause', {}).expect(200);
    expect(await rows('select paused_until as until from subscriber where id = $1')).toEqual([
      { until: null },
    ]);
    await press('pause', { days: '7' }).expect(200);
    const before = await mails();
    await press('export').expect(200);
    await t.runDue();
    expect(await mails()).toBe(before + 1);
    const data = await t.http
      .get(`/api/v1/subscribers/${reader.id}`)
      .set('Authorization', `Bearer ${API_KEY}`)
      .expect(200);
    expect(data.body.pausedUntil).toBe(new Date(t.clock.now().getTime() + 7 * DAY_MS).toISOString());
  });
});

it('a mail to the unsubscribe address ends the series at once, as the button does', async () => {
  const token = linkIn(reader.welcome, /\/u\//).split('/').at(-1) ?? '';
  await t.app.get(LeaveService, { strict: false }).leaveByToken(token, 'mailto');
  await run('sequences.exit-left');
  expect(await rows('select status, exit_reason as why from enrollment where subscriber_id = $1')).toEqual([
    { status: 'exited', why: 'unsubscribed' },
  ]);
});

it('who was left out of a broadcast is told by which condition', async () => {
  const id = await startedBroadcast({ tags: { any: ['vip', 'press'] }, funnel: 'niche-ebook' });
  expect(await explain(`broadcastId=${id}`)).toMatchObject({
    decidedBy: 'NOT_IN_AUDIENCE',
    answer: expect.stringMatching(
      /was frozen on .* It went to whoever has one of the tags “vip”, “press”, which, as far as is kept, was not so/,
    ),
  });
  // What they are given after the audience was frozen changes nothing about why they were not in it.
  t.clock.advance(60_000);
  await t.app.get(SubscribersService, { strict: false }).tag(t.dataSource.manager, reader.id, 'vip');
  expect(await explain(`broadcastId=${id}`)).toMatchObject({
    answer: expect.stringMatching(/It went to whoever has one of the tags/),
  });
});

it('the pages of a reader speak in the name of the sender', async () => {
  const named = async (page: Promise<{ text: string }>): Promise<void> => {
    const { text } = await page;
    expect(text).toMatch(/site-mark[^<]*<img[^>]*>Ada/);
    expect(text).not.toContain('Runs on Wellspring');
  };
  await named(Promise.resolve(await t.http.get(reader.preferences).expect(200)));
  await named(Promise.resolve(await press('erase').expect(200)));
  await press('export').expect(200);
  await t.runDue();
  const mails = await t.mailsTo(reader.email);
  const linkTo = (path: string): string => {
    const mail = mails.find(({ html }) => html.includes(path));
    if (!mail) throw new Error(`no mail with ${path}`);
    return linkIn(mail, new RegExp(path));
  };
  await named(Promise.resolve(await t.http.get(linkTo('/my-data/')).expect(200)));
  const erasing = t.http.post(linkTo('/erase/')).type('form').send({ understood: 'yes' });
  await named(Promise.resolve(await erasing.expect(200)));
});
