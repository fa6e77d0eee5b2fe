import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DueMessages } from '../../../../src/delivery/sending/due-messages.service.js';
import { LedgerClaims } from '../../../../src/delivery/sending/ledger-claims.service.js';
import { FrequencyCapService } from '../../../../src/delivery/pacing/frequency-cap.service.js';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { EnrollmentsService } from '../../../../src/sequences/enrollments/enrollments.service.js';
import { API_KEY } from '../../../support/app.js';
import { openCourse, type Course } from '../course.js';
import { untilWaiting, empty } from '../../../support/database.js';

/** Monday 5 January 2026, 09:00 UTC is when each test begins. */
let t: Course;
beforeAll(async () => {
  t = await openCourse();
});
afterAll(async () => t?.test.close());

describe('the cap on mails to one person', () => {
  afterEach(async () => {
    await cap(null, null);
    await t.clear();
  });

  const cap = async (perDay: number | null, perWeek: number | null): Promise<void> => {
    const put = t.test.http.put('/api/v1/sending/frequency').set('Authorization', `Bearer ${API_KEY}`);
    const answer = await put.send({ perDay, perWeek });
    expect([answer.status, answer.body]).toEqual([200, { perDay, perWeek }]);
  };
  const states = async (): Promise<Record<string, unknown>[]> =>
    t.db.query(
      `select step_key as step, state, state_reason as reason, due_at as "dueAt" from message order by step_key desc, subscriber_id`,
    );
  const two = async (): Promise<string> => {
    await t.publish('- { key: low, email: emails/story }', 'priority: 6', 'first');
    await t.publish('- { key: high, email: emails/story }', 'priority: 2', 'second');
    const id = await t.person('reader@example.com');
    await t.enroll(id, 'first');
    await t.enroll(id, 'second');
    return id;
  };

  it.each([
    [2, 'broadcast'],
    [7, 'sequence'],
  ])(
    'lets a broadcast of priority %d and a sequence of 5 go in their order: the %s first',
    async (priority, kind) => {
      await cap(1, null);
      await t.publish('- { key: usual, email: emails/story }', 'priority: 5');
      await t.enroll(await t.person('reader@example.com'));
      const sender = { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St' };
      const draft = { title: 'News', template: 'emails/story', audience: { everybody: true }, sender };
      const { body } = await t.post('/api/v1/broadcasts', { ...draft, priority });
      expect(body).toMatchObject({ priority });
      await t.post(`/api/v1/broadcasts/${String(body['id'])}/start`, {});
      await t.run();
      await t.test.app.get(JobRunner, { strict: false }).run('broadcasts.plan');
      await t.test.runDue();
      expect(await t.db.query(`select kind, priority from message where state = 'accepted'`)).toEqual([
        { kind, priority: Math.min(priority, 5) },
      ]);
      expect(
        await t.db.query(`select 1 from message where state_reason = 'frequency cap: 1 a day'`),
      ).toHaveLength(1);
      await empty(t.db, 'broadcast');
    },
  );

  it('lets the mail of the sequence that goes first go, the other a day later, and says why', async () => {
    await cap(1, null);
    const before = (await t.test.mailsTo('reader@example.com')).length;
    const id = await two();
    await t.test.runDue();
    const dueAt = new Date('2026-01-06T09:00:00Z');
    expect(await states()).toMatchObject([
      { step: 'low', state: 'ready', reason: 'frequency cap: 1 a day', dueAt },
      { step: 'high', state: 'accepted', reason: null },
    ]);
    const why = await t.test.http
      .get(`/api/v1/messages/explain?subscriberId=${id}&funnel=first&step=low`)
      .set('Authorization', `Bearer ${API_KEY}`);
    expect(why.body).toMatchObject({ decidedBy: 'FREQUENCY_CAP' });
    t.clock.set('2026-01-06T08:59:59Z');
    await t.test.runDue();
    expect(await states()).toMatchObject([{ state: 'ready' }, {}]);
    t.clock.set(dueAt);
    await t.test.runDue();
    expect(await states()).toMatchObject([{ state: 'accepted', reason: null }, {}]);
    expect(await t.test.mailsTo('reader@example.com')).toHaveLength(before + 2);
  });

  it.each([
    ['lifted', null, ['accepted', 'accepted', 'accepted']],
    ['raised to two', 2, ['ready', 'accepted', 'accepted']],
  ])(
    'lets what waits for it go when it is %s: it waited for its day all the same',
    async (_, most, after) => {
      await cap(1, null);
      await t.publish('- { key: last, email: emails/story }', 'priority: 7', 'third');
      await t.enroll(await two(), 'third');
      const reap = async (): Promise<unknown> =>
        t.test.app.get(JobRunner, { strict: false }).run('delivery.reap');
      const states = async (): Promise<string[]> => {
        await t.test.runDue();
        const rows: { state: string }[] = await t.db.query('select state from message order by state desc');
        return rows.map(({ state }) => state);
      };
      expect(await states()).toEqual(['ready', 'ready', 'accepted']);
      await cap(most, null);
      // Another worker may go by the old one for a second.
      await reap();
      expect(await states()).toEqual(['ready', 'ready', 'accepted']);
      await t.db.query(`update message set planned_for = due_at - interval '1 hour' where state = 'ready'`);
      await t.db.query(
        `update setting set updated_at = updated_at - interval '3 seconds' where key = 'sending.frequency.raised'`,
      );
      await reap();
      expect(await states()).toEqual(after);
      // As late as before: no later by the cap.
      const late = `select distinct extract(hours from due_at - planned_for)::int as hours from message where state = 'accepted' and planned_for is not null`;
      expect(await t.db.query(late)).toEqual([{ hours: 1 }]);
    },
  );

  it('gives the place of a mail that expires before it to the next: that waited a day longer, behind nothing', async () => {
    await cap(1, null);
    await t.publish('- { key: last, email: emails/story }', 'priority: 7', 'third');
    await t.enroll(await two(), 'third');
    await t.test.app.get(JobRunner, { strict: false }).run('sequences.advance-due');
    await t.db.query(`update message set expires_at = $1 where step_key = 'low'`, ['2026-01-05T20:00:00Z']);
    await t.test.runDue();
    t.clock.set('2026-01-06T09:00:00Z');
    await t.test.runDue();
    expect(await states()).toMatchObject([
      { step: 'low', state: 'expired' },
      { step: 'last', state: 'accepted' },
      { step: 'high', state: 'accepted' },
    ]);
  });

  it('counts a week, and each person alone', async () => {
    await cap(null, 1);
    await two();
    await t.enroll(await t.person('other@example.com'), 'first');
    await t.test.runDue();
    expect(await states()).toMatchObject([
      { state: 'ready', reason: 'frequency cap: 1 a week', dueAt: new Date('2026-01-12T09:00:00Z') },
      { state: 'accepted' },
      { state: 'accepted' },
    ]);
  });

  it('does not count a mail that somebody waits for', async () => {
    await cap(1, null);
    await two();
    await t.run();
    await t.db.query(`update message set class = 'transactional' where step_key = 'high'`);
    await t.test.runDue();
    expect(await states()).toMatchObject([{ state: 'accepted' }, { state: 'accepted' }]);
  });

  it('holds for workers that claim at the same time', async () => {
    await cap(1, null);
    const ids = await Promise.all(
      Array.from({ length: 30 }, async (_, index) => t.person(`reader${index}@example.com`)),
    );
    for (const key of ['a', 'b', 'c']) {
      await t.publish(`- { key: ${key}, email: emails/story }`, '', `seq-${key}`);
      for (const id of ids) await t.enroll(id, `seq-${key}`);
    }
    await t.run();
    const due = t.test.app.get(DueMessages, { strict: false });
    const claims = Array.from({ length: 6 }, async (_, worker) => due.claim(`worker ${worker}`, 20));
    const claimed = (await Promise.all(claims)).flatMap(({ messages }) => messages);
    const perPerson = new Map<string | null, number>();
    for (const { subscriberId } of claimed)
      perPerson.set(subscriberId, (perPerson.get(subscriberId) ?? 0) + 1);
    expect([...perPerson.values()].every((count) => count === 1)).toBe(true);
    expect(perPerson.size).toBeGreaterThan(0);
  });

  it('leaves the ledger as it is when PostgreSQL is restarted in the middle of a claim: no worker refuses it after', async () => {
    await cap(1, null);
    await two();
    await t.run();
    const claims = t.test.app.get(LedgerClaims, { strict: false });
    const before = claims.witness;
    await t.db.query(
      `create function goes() returns trigger language plpgsql as $$ begin raise 'goes'; end $$`,
    );
    await t.db.query(`create constraint trigger goes after update on message deferrable initially deferred
      for each row execute function goes()`);
    try {
      const due = t.test.app.get(DueMessages, { strict: false });
      await expect(due.claim('worker', 20)).rejects.toThrow('goes');
    } finally {
      await t.db.query('drop function goes() cascade');
    }
    expect(claims.witness).toEqual(before);
    await t.test.runDue();
    const [sent] = await t.db.query(`select id, lease_epoch as epoch from message where state = 'accepted'`);
    expect(claims.witness).toMatchObject({ ended: sent });
  });

  it('is read from the database again when another process has set it', async () => {
    const service = t.test.app.get(FrequencyCapService, { strict: false });
    expect(await service.read()).toEqual({ perDay: null, perWeek: null });
    await cap(3, 10);
    expect(await service.read()).toEqual({ perDay: 3, perWeek: 10 });
  });

  it.each([{ perDay: 0 }, { perWeek: 1.5 }, { perDay: 'two' }, { perMonth: 3 }])(
    'refuses %j',
    async (body) => {
      const put = t.test.http.put('/api/v1/sending/frequency').set('Authorization', `Bearer ${API_KEY}`);
      expect((await put.send(body)).status).toBe(422);
    },
  );
});

describe('what ends a sequence, while a mail of it waits', () => {
  afterEach(async () => t.clear());

  const mail = (key: string, more = ''): string => `- { key: ${key}, email: emails/story${more} }`;
  const two = `${mail('one')}\n${mail('two', ', delay: 1 day')}`;
  const begin = async (steps: string, more: string): Promise<string> => {
    await t.publish(steps, more);
    const id = await t.person('reader@example.com');
    await t.enroll(id);
    await t.run();
    return id;
  };
  const buy = async (id: string): Promise<void> =>
    t.db.transaction(async (manager) =>
      t.test.app
        .get(EnrollmentsService, { strict: false })
        .exitOnPurchase(manager, id, { productKey: 'course-kit', orderId: '1' }),
    );
  const tell = async (body: object): Promise<unknown> => t.post('/api/v1/events', body);
  const tag = async (id: string, name: string): Promise<unknown> =>
    t.post(`/api/v1/subscribers/${id}/tags`, { name });
  const change = async (id: string, fields: object): Promise<void> => {
    const patch = t.test.http.patch(`/api/v1/subscribers/${id}`).set('Authorization', `Bearer ${API_KEY}`);
    expect((await patch.send({ fields })).status).toBe(200);
  };

  it.each([
    ['purchased: course-kit', buy, 'purchased course-kit'],
    ['event: refunded', async (id: string) => tell({ subscriberId: id, name: 'refunded' }), 'event refunded'],
    ['field: level, over: 2', async (id: string) => change(id, { level: 3 }), 'field level'],
    [
      'tag: client',
      async (id: string) => t.enroll(id, 'marks').then(async () => t.at('2026-01-06T09:01:00Z')),
      'tagged client',
    ],
    [
      'clicked: one',
      async (id: string) => t.hit(id, 'one', 'click').then(async () => t.run()),
      'clicked one',
    ],
    [
      'opened: one',
      async (id: string) => t.hit(id, 'one', 'open').then(async () => t.at('2026-01-06T12:00:00Z')),
      'opened one',
    ],
  ])(
    'stops the last mail, which waits to be sent, of who bought meanwhile: %s',
    async (exit, happens, reason) => {
      await t.publish('- { key: mark, tag: client }', '', 'marks');
      const id = await begin(two, `exitOn: [{ ${exit} }]`);
      const waits = async (): Promise<unknown> =>
        t.db.query(
          `select step_key as step, state_reason as reason from message where state = 'cancelled' order by id`,
        );
      await t.db.query(`update message set state = 'accepted', accepted_at = created_at`);
      await t.at('2026-01-06T09:00:00Z');
      expect(await t.place(id)).toMatchObject({ status: 'completed' });
      expect(await waits()).toEqual([]);
      await happens(id);
      expect(await waits()).toEqual([{ step: 'two', reason }]);
      expect(await t.place(id)).toMatchObject({ status: 'completed', reason: null });
    },
  );

  it('stops what a sequence left behind that moved the person on, and leaves alone what its own last step gave', async () => {
    await t.publish(mail('next', ', delay: 1 day'), '', 'next');
    const id = await begin(
      `${mail('one')}\n- { key: on, move: next }`,
      'exitOn: [{ purchased: course-kit }]',
    );
    await t.publish(`${mail('last')}\n- { key: mark, tag: done }`, 'exitOn: [{ tag: done }]', 'marks');
    await t.enroll(id, 'marks');
    await t.run();
    expect(await t.mails(id)).toEqual(['one', 'last']);
    await buy(id);
    expect(await t.mails(id)).toEqual(['last']);
    await tag(id, 'done');
    expect(await t.mails(id)).toEqual([]);
  });

  it('stops a last mail that is being planned at the very moment, and one of who is taken out by hand', async () => {
    const id = await begin(two, 'exitOn: [{ purchased: course-kit }]');
    t.clock.set('2026-01-06T09:00:00Z');
    const planning = t.db.createQueryRunner();
    await planning.startTransaction();
    await planning.query(
      `update enrollment set status = 'completed', step_key = null, next_at = null, ended_at = $1`,
      [t.clock.now()],
    );
    await planning.query(`update message set step_key = 'two'`);
    const buying = buy(id);
    await untilWaiting(t.db, 1);
    await planning.commitTransaction();
    await planning.release();
    await buying;
    expect(await t.mails(id)).toEqual([]);
    const other = await t.person('other@example.com');
    await t.publish(mail('one'), '', 'short');
    await t.enroll(other, 'short');
    await t.run();
    const path = `/api/v1/enrollments/${String((await t.place(other, 'short'))?.['id'])}`;
    await t.test.http.delete(path).set('Authorization', `Bearer ${API_KEY}`).expect(204);
    expect(await t.mails(other)).toEqual([]);
  });
});
