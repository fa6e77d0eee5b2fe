import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { BroadcastPlanner } from '../../../../src/broadcasts/broadcast-planner.service.js';
import { API_KEY } from '../../../support/app.js';
import { empty } from '../../../support/database.js';
import { FOREVER } from '../../broadcasts/desk.js';
import { openCourse, type Course } from '../course.js';

/** Days are those of the database's clock: what midnight falls into is done once more. */
const MIDNIGHT = { retry: 1 };
const SENDER = { name: 'Ada', email: 'ada@example.com', postalAddress: '12 Mill Lane' };

describe('what a sequence begins with, beside a broadcast that a quota spreads over days', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => {
    await settings({});
    await t.clear();
    await empty(t.db, 'broadcast, send_bucket');
  });

  const settings = async (body: object): Promise<unknown> =>
    t.test.http.put('/api/v1/sending').set('Authorization', `Bearer ${API_KEY}`).send(body).expect(200);
  /** Two readers a day, and a broadcast to eight. */
  const underWay = async (more: object = {}): Promise<void> => {
    await settings({ global: { perDay: 2 } });
    for (let n = 0; n < 8; n++) await t.person(`p${n}@example.com`);
    const draft = { title: 'News', template: 'emails/nudge', audience: { everybody: true }, sender: SENDER };
    const { body } = await t.post('/api/v1/broadcasts', { ...draft, ...more });
    await t.post(`/api/v1/broadcasts/${String(body['id'])}/start`, {});
    await t.test.app.get(BroadcastPlanner, { strict: false }).run(FOREVER);
    await t.test.runDue();
  };
  const aDayOn = async (): Promise<void> => {
    t.clock.advance(86_400_000);
    await t.db.query(
      `update send_bucket set quota_day = quota_day - 1, refilled_at = refilled_at - interval '1 day', updated_at = updated_at - interval '1 day'`,
    );
    await t.test.runDue();
  };
  const joins = async (steps: string, more = ''): Promise<void> => {
    await t.publish(steps, more);
    await t.enroll(await t.person('new@example.com'));
    await t.test.runDue();
  };
  const steps = async (): Promise<Record<string, string>> => {
    const rows: { step: string; state: string }[] = await t.db.query(
      `select step_key as step, state from message where kind = 'sequence'`,
    );
    return Object.fromEntries(rows.map(({ step, state }) => [step, state]));
  };

  it('goes before it: who had just asked for it got it days later', MIDNIGHT, async () => {
    await underWay();
    await joins('- { key: welcome, email: emails/welcome }');
    const [{ id }]: [{ id: string }] = await t.db.query(`select id from message where step_key = 'welcome'`);
    const why = await t.test.http
      .get(`/api/v1/messages/${id}/explain`)
      .set('Authorization', `Bearer ${API_KEY}`);
    expect(why.body).toMatchObject({
      decidedBy: 'DAILY_QUOTA',
      answer: expect.stringContaining('this has 4.'),
    });
    await aDayOn();
    expect(await steps()).toEqual({ welcome: 'accepted' });
  });

  it('goes before it behind a step that is no mail, too', MIDNIGHT, async () => {
    await underWay();
    await joins('- { key: mark, tag: began }\n- { key: welcome, email: emails/welcome }');
    await aDayOn();
    expect(await steps()).toEqual({ welcome: 'accepted' });
  });

  it(
    'goes before what sixty others who were imported get: who had asked for it got it behind all of them',
    MIDNIGHT,
    async () => {
      await settings({ global: { perDay: 2 } });
      const welcome = '- { key: welcome, email: emails/welcome }';
      await t.publish(welcome);
      for (let n = 0; n < 60; n++) await t.enroll(await t.person(`imported${n}@example.com`));
      await t.test.runDue();
      await joins(welcome);
      await aDayOn();
      const [{ state }]: [{ state: string }] = await t.db.query(
        `select state from message where address = 'new@example.com'`,
      );
      expect(state).toBe('accepted');
    },
  );

  it.each([
    ['a later step of it', '- { key: mail, email: emails/welcome, delay: 1 hour }', '', {}],
    [
      'what comes behind its first wait',
      '- { key: pause, wait: 1 hour }\n- { key: mail, email: emails/story }',
      '',
      {},
    ],
    [
      'a sequence whose owner gave it the usual priority',
      '- { key: mail, email: emails/story }',
      'priority: 5',
      {},
    ],
    [
      'a broadcast whose owner put it before sequences',
      '- { key: mail, email: emails/story }',
      '',
      { priority: 3 },
    ],
  ])('lets the broadcast go first in the case of %s', MIDNIGHT, async (_, step, more, broadcast) => {
    await underWay(broadcast);
    await joins(step, more);
    await aDayOn();
    expect(await steps()).toEqual({ mail: 'ready' });
  });
});
