import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { API_KEY, linkIn, startTestApp, type TestApp } from '../../support/app.js';
import { newReader, preferencesForm, type Reader } from '../../support/reader.js';

const DAY_MS = 86_400_000;

interface Answer {
  messageId: string | null;
  decidedBy: string;
  answer: string;
  chain: { code: string; verdict: string; text: string; at: string | null }[];
}

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp();
});
afterAll(async () => t.close());

const get = (path: string) =>
  t.http.get(`/api/v1/messages/${path}`).set('Authorization', `Bearer ${API_KEY}`);
const step = async ({ id }: Pick<Reader, 'id'>, key: string): Promise<Answer> =>
  (await get(`explain?subscriberId=${id}&funnel=niche-ebook&step=${key}`).expect(200)).body as Answer;
const value = async (sql: string, parameters: unknown[]): Promise<string> =>
  (await t.dataSource.query<{ v: string }[]>(sql, parameters))[0]?.v ?? '';
const messageOf = async (reader: Reader, key: string): Promise<string> =>
  value('select id as v from message where subscriber_id = $1 and step_key = $2', [reader.id, key]);

describe('GET /api/v1/messages/:id/explain', () => {
  it('walks the rules of a mail that was sent', async () => {
    const reader = await newReader(t, 'sent@example.com');
    const id = await messageOf(reader, 'welcome');
    const { body } = await get(`${id}/explain`).expect(200);
    expect(body).toMatchObject({ messageId: id, decidedBy: 'ACCEPTED' });
    expect((body as Answer).chain.map(({ code }) => code)).toEqual([
      'PLANNED_BY_SEQUENCE',
      'DUE_BY_STEP',
      'CLASS_MARKETING',
      'CONSENT_GIVEN',
      'NOT_SUPPRESSED',
      'TOPIC_WANTED',
      'ATTEMPT_ACCEPTED',
      'ACCEPTED',
    ]);
    expect(await step(reader, 'welcome')).toEqual(body);
    await get('999999/explain').expect(404);
  });

  it('finds what stops a planned mail, and says the same of it when it has been taken off', async () => {
    const reader = await newReader(t, 'stopped@example.com');
    const id = await messageOf(reader, 'welcome');
    const again = () =>
      t.dataSource.query(
        `update message set state = 'ready', data_at = null, accepted_at = null, settled_at = null, withdrawn = null where id = $1`,
        [id],
      );
    const decided = async () => ((await get(`${id}/explain`).expect(200)).body as Answer).decidedBy;
    await again();
    expect(await decided()).toBe('NEXT_RUN');
    await t.http
      .post(reader.preferences)
      .type('form')
      .send(preferencesForm({ tracking: true }))
      .expect(200);
    expect(await decided()).toBe('EXITED_BY_TOPIC');
    await again();
    expect(await decided()).toBe('TOPIC_OPTED_OUT');
    await t.runDue();
    expect(await decided()).toBe('TOPIC_OPTED_OUT');
    await t.http.post(linkIn(reader.welcome, /\/u\//)).expect(200);
    await again();
    expect(await decided()).toBe('SUBSCRIBER_NOT_ACTIVE');
    await t.runDue();
    expect(await decided()).toMatch(/SUPPRESSED|SUBSCRIBER_NOT_ACTIVE/);
  });

  it('reads the limits, the relays and the hold of the owner as they are', async () => {
    const reader = await newReader(t, 'paced@example.com');
    const id = await messageOf(reader, 'welcome');
    const decided = async (): Promise<Answer> => (await get(`${id}/explain`).expect(200)).body as Answer;
    await t.dataSource.query(`update message set state = 'ready', data_at = null where id = $1`, [id]);
    await t.dataSource.query(
      `insert into send_bucket (key, rate_per_second, burst, tokens, refilled_at, updated_at)
       values ('global', 0.001, 1, 0, clock_timestamp(), clock_timestamp())`,
    );
    expect(await decided()).toMatchObject({
      decidedBy: 'PACED',
      answer: expect.stringContaining('The limit “All mails”'),
      chain: expect.arrayContaining([
        expect.objectContaining({ code: 'PACED', at: expect.stringMatching(/\.000Z$/) }),
      ]),
    });
    await t.dataSource.query('delete from send_bucket');
    await t.dataSource.query(
      `insert into relay_state (key, state, failures, opened_until, reason, updated_at)
       values ('127.0.0.1', 'open', 3, clock_timestamp() + interval '1 minute', '421 busy', clock_timestamp())
       on conflict (key) do update set state = 'open', opened_until = excluded.opened_until, reason = excluded.reason`,
    );
    expect(await decided()).toMatchObject({
      decidedBy: 'RELAY_OUT',
      answer: expect.stringContaining('421 busy'),
    });
    await t.dataSource.query('delete from relay_state');
    expect((await decided()).decidedBy).toBe('NEXT_RUN');
    await t.dataSource.query(
      `update message set state = 'held', state_reason = 'overdue after an outage' where id = $1`,
      [id],
    );
    expect((await decided()).decidedBy).toBe('HELD_OVERDUE');
  });
});

describe('GET /api/v1/messages/explain', () => {
  it('tells of a step without a mail where the person stands', async () => {
    const reader = await newReader(t, 'ahead@example.com');
    expect(await step(reader, 'story')).toMatchObject({ messageId: null, decidedBy: 'STEP_NOT_DUE' });
    expect((await step(reader, 'offer')).decidedBy).toBe('NOT_REACHED');
    t.clock.advance(4 * DAY_MS);
    await t.runDue();
    expect((await step(reader, 'deep-dive')).decidedBy).toBe('WAITS_FOR_CLICK');
    t.clock.advance(4 * DAY_MS);
    await t.runDue();
    expect((await step(reader, 'deep-dive')).decidedBy).toBe('BRANCH_WENT_OTHER_WAY');
    await t.http.post(`${reader.preferences}/leave`).expect(200);
    expect((await step(reader, 'offer')).decidedBy).toBe('EXITED_BY_UNSUBSCRIBING');
  });

  it('says when a step is due by the clock of the sequence where the person’s zone is not known, as it runs', async () => {
    const reader = await newReader(t, 'somewhere@example.com');
    await t.dataSource.query('update subscriber set time_zone = null where id = $1', [reader.id]);
    await t.dataSource.query(
      `update sequence_version set definition = jsonb_set(definition, '{fallbackZone}', '"Asia/Tokyo"')
       where id = (select version_id from enrollment where subscriber_id = $1)`,
      [reader.id],
    );
    const { chain } = await step(reader, 'story');
    expect(JSON.stringify(chain)).toContain('Asia/Tokyo');
  });

  it('tells of people who are in no sequence', async () => {
    await t.http.post('/p/niches').type('form').send({ email: 'pending@example.com' }).expect(200);
    const pending = await value('select id as v from subscriber where email_key = $1', [
      'pending@example.com',
    ]);
    expect((await step({ id: pending }, 'welcome')).decidedBy).toBe('NOT_CONFIRMED');
    const { body } = await t.http
      .post('/api/v1/subscribers')
      .set('Authorization', `Bearer ${API_KEY}`)
      .send({ email: 'stranger@example.com' })
      .expect(201);
    expect((await step({ id: body.id as string }, 'welcome')).decidedBy).toBe('NOT_ENROLLED');
  });

  it('leaves no enrolment and no mail of the database without an explanation', async () => {
    const reader = await newReader(t, 'someone@example.com');
    const steps = ['welcome', 'story', 'deep-dive', 'nudge', 'offer'];
    const people: { id: string }[] = await t.dataSource.query(
      'select distinct subscriber_id as id from enrollment',
    );
    expect(people).toContainEqual({ id: reader.id });
    for (const person of people) {
      for (const key of steps) expect((await step(person, key)).answer.length).toBeGreaterThan(10);
    }
    const mails: { id: string }[] = await t.dataSource.query('select id from message');
    expect(mails).toContainEqual({ id: await messageOf(reader, 'welcome') });
    for (const { id } of mails)
      expect((await get(`${id}/explain`).expect(200)).body.answer.length).toBeGreaterThan(10);
  });

  it('tells of people who are in the sequence for the second time what holds now, and not what their first time came to', async () => {
    const reader = await newReader(t, 'again@example.com');
    for (let day = 1; day <= 12; day++) {
      t.clock.advance(DAY_MS);
      await t.runDue();
    }
    const first = await messageOf(reader, 'nudge');
    expect(await step(reader, 'nudge')).toMatchObject({ messageId: first, decidedBy: 'ACCEPTED' });
    await t.dataSource.query(`update enrollment set status = 'completed' where subscriber_id = $1`, [
      reader.id,
    ]);
    const again = await value(
      `insert into enrollment (sequence_id, version_id, subscriber_id, occurrence, status, step_key, next_at, started_at)
       select sequence_id, version_id, subscriber_id, 2, 'active', 'welcome', $2, $2 from enrollment
       where subscriber_id = $1 returning id as v`,
      [reader.id, t.clock.now()],
    );
    expect(await step(reader, 'welcome')).toMatchObject({ messageId: null, decidedBy: 'STEP_DUE' });
    await t.runDue();
    const second = await value(
      `select id as v from message where enrollment_id = $1 and step_key = 'welcome'`,
      [again],
    );
    expect(await step(reader, 'welcome')).toMatchObject({ messageId: second, decidedBy: 'ACCEPTED' });
    const ahead = await step(reader, 'nudge');
    expect(ahead).toMatchObject({ messageId: null, decidedBy: 'NOT_REACHED' });
    expect(ahead.chain.map(({ code }) => code)).toEqual(['ENROLLED', 'EARLIER_MAIL', 'NOT_REACHED']);
    expect(ahead.chain[1]?.text).toContain(`the mail ${first}`);

    const outcome = (key: string, what: string): Promise<unknown> =>
      t.dataSource.query(
        `insert into enrollment_step (enrollment_id, step_key, outcome, at) values ($1, $2, $3, $4)`,
        [again, key, what, t.clock.now()],
      );
    await outcome('story', 'holdout');
    expect(await step(reader, 'story')).toMatchObject({ messageId: null, decidedBy: 'HELD_OUT' });
    await outcome('pick', 'then');
    await t.dataSource.query(`update enrollment set step_key = 'deep-dive' where id = $1`, [again]);
    expect(await step(reader, 'nudge')).toMatchObject({
      messageId: null,
      decidedBy: 'BRANCH_WENT_OTHER_WAY',
    });

    await t.dataSource.query('delete from enrollment where subscriber_id = $1', [reader.id]);
    const kept = await step(reader, 'nudge');
    expect(kept).toMatchObject({ messageId: first, decidedBy: 'ACCEPTED' });
    expect(kept.chain[0]).toMatchObject({ code: 'ENROLLMENT_NOT_KEPT', verdict: 'info' });
  });

  it('tells of a broadcast without a mail', async () => {
    const reader = await newReader(t, 'cast@example.com');
    const id = await value(
      `insert into broadcast (title, email_template_id, sender, state, planned_at, audience_last_id, created_at)
       values ('News', (select min(id) from email_template), '{}', 'draft', null, 1000000, now()) returning id as v`,
      [],
    );
    const decided = async (): Promise<string> =>
      ((await get(`explain?subscriberId=${reader.id}&broadcastId=${id}`).expect(200)).body as Answer)
        .decidedBy;
    expect(await decided()).toBe('BROADCAST_DRAFT');
    await t.dataSource.query(`update broadcast set state = 'planning' where id = $1`, [id]);
    expect(await decided()).toBe('NOT_PLANNED_YET');
    await t.dataSource.query(`update broadcast set state = 'running', planned_at = now() where id = $1`, [
      id,
    ]);
    expect(await decided()).toBe('NOT_IN_AUDIENCE');
    await t.dataSource.query('update broadcast set audience_last_id = 0 where id = $1', [id]);
    expect(await decided()).toBe('JOINED_LATER');
  });

  it('says which arm of a broadcast a mail is of, and of the rest what the test came to', async () => {
    const reader = await newReader(t, 'split@example.com');
    const mail = await messageOf(reader, 'welcome');
    const split = { arms: [{}, { subject: 'B' }], testPercent: 20, waitMinutes: 60, judge: 'clicks' };
    const id = await value(
      `insert into broadcast (title, email_template_id, sender, state, split, created_at)
       select 'Tried', email_template_id, sender, 'running', $2, now() from message where id = $1 returning id as v`,
      [mail, JSON.stringify(split)],
    );
    const told = async () => {
      const { chain } = (await get(`${mail}/explain`).expect(200)).body as Answer;
      return chain.find(({ code }) => code.startsWith('SPLIT_TEST'));
    };
    expect(await told()).toBeUndefined();
    await t.dataSource.query(
      'update message set broadcast_id = $2, enrollment_id = null, arm = 1 where id = $1',
      [mail, id],
    );
    expect(await told()).toMatchObject({
      code: 'SPLIT_TEST_ARM',
      text: expect.stringMatching(/has arm B .* hash .* 20 % of the audience have 2 arms/),
    });
    // By whose clock, too: it named the moment when the first clock on earth shows the hour.
    const local = { atLocal: '2026-03-05T09:30', fallbackZone: 'Asia/Tokyo', ifPassed: 'nextDay' };
    await t.dataSource.query(
      `update broadcast set timing = $2, scheduled_at = '2026-03-04T19:30Z',
         split = jsonb_set(split, '{arms,1,at}', '"18:00"') where id = $1`,
      [id, JSON.stringify({ local, spreadMinutes: 0 })],
    );
    const { chain } = (await get(`${mail}/explain`).expect(200)).body as Answer;
    expect(chain.find(({ code }) => code === 'DUE_BY_SCHEDULE')?.text).toMatch(
      /^It goes at 2026-03-05 18:00 (?:by the clock of Asia\/Tokyo|on the reader's clock).*, the hour of its arm/,
    );
    await t.dataSource.query('update message set arm = null where id = $1', [mail]);
    expect(await told()).toMatchObject({
      code: 'SPLIT_TEST_REST',
      text: expect.stringContaining('not tried'),
    });
    await t.dataSource.query('update message set arm = -1 where id = $1', [mail]);
    expect(await told()).toMatchObject({
      code: 'SPLIT_TEST_ARM_STOPPED',
      text: expect.stringMatching(/the mail of arm A .* counts for none: .* broke a guard rail/),
    });
    await t.dataSource.query('update message set arm = null where id = $1', [mail]);
    await t.dataSource.query('update broadcast set decision = $2 where id = $1', [
      id,
      JSON.stringify({ verdict: 'winner', because: null, arm: 1, at: '2026-03-02T11:00:00Z' }),
    ]);
    expect(await told()).toMatchObject({ text: expect.stringContaining('Arm B won and goes to the rest') });
    await t.dataSource.query(
      `update message set state = 'suppressed', state_reason = 'held out of the split test' where id = $1`,
      [mail],
    );
    expect(await told()).toMatchObject({
      code: 'SPLIT_TEST_HELD_OUT',
      text: expect.stringContaining('neither an arm nor the winner'),
    });
    expect((await get(`${mail}/explain`).expect(200)).body).toMatchObject({ decidedBy: 'HELD_OUT' });
  });

  it('says what is wrong with the question', async () => {
    const reader = await newReader(t, 'question@example.com');
    const q = `explain?subscriberId=${reader.id}`;
    const asked: [path: string, status: number][] = [
      [q, 422],
      [`${q}&funnel=niche-ebook`, 422],
      [`${q}&funnel=niche-ebook&step=welcome&broadcastId=1`, 422],
      [`${q}&funnel=niche-ebook&step=none`, 404],
      [`${q}&funnel=none&step=welcome`, 404],
      [`${q}&broadcastId=999999`, 404],
      ['explain?subscriberId=999999&funnel=niche-ebook&step=welcome', 404],
    ];
    for (const [path, status] of asked) expect([path, (await get(path)).status]).toEqual([path, status]);
  });
});

describe('GET /api/v1/messages/:id/explain of a mail that is due, before the next claim', () => {
  it('tells of what the claim will find: nothing was said to hold it back', async () => {
    const reader = await newReader(t, 'before@example.com');
    const id = await messageOf(reader, 'welcome');
    const dueAt = t.clock.now();
    await t.dataSource.query(
      `update message set state = 'ready', due_at = $2, data_at = null, accepted_at = null, settled_at = null where id = $1`,
      [id, dueAt],
    );
    const decided = async (): Promise<string> =>
      ((await get(`${id}/explain`).expect(200)).body as Answer).decidedBy;
    const set = async (key: string, value: object): Promise<unknown> =>
      t.dataSource.query(
        `insert into setting (key, value, updated_at) values ($1, $2, now())
         on conflict (key) do update set value = setting.value || excluded.value`,
        [key, JSON.stringify(value)],
      );
    const sequence = (change: string): Promise<unknown> =>
      t.dataSource.query(
        `insert into sequence_pause (funnel_key, reason, paused_at) values ('niche-ebook', 'by the owner', now())
         on conflict (funnel_key) do update set ${change}`,
      );
    expect(await decided()).toBe('NEXT_RUN');
    await sequence('resumed_at = null');
    expect(await decided()).toBe('SEQUENCE_PAUSED');
    await sequence('resumed_at = now(), released_at = now()');
    expect(await decided()).toBe('NEXT_RUN');
    // No worker has asked for mails since it was due, three days ago.
    await set('sending.overdue', { policy: 'ask', afterHours: 24 });
    await set('sending.heartbeat', { aliveAt: dueAt, resumedAt: null });
    t.clock.advance(3 * DAY_MS);
    expect(await decided()).toBe('HELD_OVERDUE');
    await set('sending.overdue', { policy: 'skip' });
    expect(await decided()).toBe('EXPIRED_OVERDUE');
    await set('sending.overdue', { policy: 'send' });
    expect(await decided()).toBe('NEXT_RUN');
    await set('ledger.generation', { confirmed: { at: t.clock.now(), unsent: 'hold' } });
    expect(await decided()).toBe('HELD_RESTORED');
    await t.dataSource.query(
      `update setting set value = value - 'confirmed' where key = 'ledger.generation'`,
    );
    await t.dataSource.query(`delete from setting where key like 'sending.%'`);
    await t.dataSource.query(`update message set state = 'accepted', accepted_at = $2 where id = $1`, [
      id,
      dueAt,
    ]);
  });
});

describe('GET /api/v1/messages/:id/explain of a mail that was held until it was of no use', () => {
  it('says what it was held for: it said that its turn came later', async () => {
    const reader = await newReader(t, 'held@example.com');
    const id = await messageOf(reader, 'welcome');
    const expiresAt = new Date(t.clock.now().getTime() + DAY_MS);
    await t.dataSource.query(
      `update message set state = 'held', state_reason = 'sequence paused', expires_at = $2, data_at = null, accepted_at = null, settled_at = null
       where id = $1`,
      [id, expiresAt],
    );
    t.clock.advance(2 * DAY_MS);
    await t.app.get(JobRunner, { strict: false }).run('delivery.expire-stale');
    const { body } = await get(`${id}/explain`).expect(200);
    expect(body).toMatchObject({
      decidedBy: 'EXPIRED',
      answer: expect.stringMatching(
        /and was held until that was over: the mails of its sequence were paused\.$/,
      ),
    });
  });
});
