import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DueMessages } from '../../../src/delivery/due-messages.service.js';
import { FrequencyCapService } from '../../../src/delivery/pacing/frequency-cap.service.js';
import { API_KEY } from '../../support/app.js';
import { openCourse, type Course } from './course.js';

/** Monday 5 January 2026, 09:00 UTC is when each test begins. */
describe('the cap on mails to one person', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
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

  it('lets the mail of the sequence that goes first go, the other a day later, and says why', async () => {
    await cap(1, null);
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
    expect(await t.test.mailsTo('reader@example.com')).toHaveLength(2);
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
