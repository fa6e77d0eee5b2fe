import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { OverdueService } from '../../../../src/delivery/waiting/overdue.service.js';
import { API_KEY } from '../../../support/app.js';
import { empty } from '../../../support/database.js';
import { openCourse, type Course } from '../../sequences/course.js';

const DAY_MS = 86_400_000;

describe('steps of a sequence that an outage has made late', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => {
    await empty(t.db, 'setting, alert');
    await t.clear();
  });

  const days = async (count: number): Promise<void> => {
    t.clock.advance(count * DAY_MS);
    await t.test.runDue();
  };
  const states = async (): Promise<string[]> => {
    const rows: { row: string }[] = await t.db.query(
      `select step_key || ' ' || state || coalesce(': ' || state_reason, '') as row from message order by id`,
    );
    return rows.map(({ row }) => row);
  };
  /** The first two were to go while nothing ran. */
  const outage = async (): Promise<void> => {
    const overdue = t.test.app.get(OverdueService, { strict: false });
    await overdue.setSettings({ policy: 'ask', afterHours: 24 });
    await t.test.runDue();
    await t.publish(
      ['one', 'two', 'three'].map((key) => `- { key: ${key}, email: emails/story, delay: 1 day }`).join('\n'),
    );
    await t.enroll(await t.person('reader@example.com'));
    t.clock.advance(DAY_MS);
    await t.run();
    await days(4);
    expect(await states()).toEqual([
      'one held: overdue after an outage',
      'two held: overdue after an outage',
    ]);
  };
  const release = async (): Promise<unknown> =>
    (await t.post('/api/v1/messages/held/release', { reason: 'overdue after an outage' })).body;

  it('came behind the step that ends the series when the owner let them go', async () => {
    await outage();
    await days(1);
    await days(1);
    expect((await states())[2]).toBe('three accepted');
    expect(await release()).toEqual({ released: 0 });
    await days(1);
    expect(await states()).toEqual([
      ...['one cancelled: a later step has gone', 'two cancelled: a later step has gone', 'three accepted'],
    ]);
    const [first]: { id: string }[] = await t.db.query('select min(id) as id from message');
    const { body } = await t.test.http
      .get(`/api/v1/messages/${first?.id}/explain`)
      .set('Authorization', `Bearer ${API_KEY}`);
    expect(body).toMatchObject({ decidedBy: 'LATER_STEP_WENT' });
  });

  it('go when the owner lets them before that', async () => {
    await outage();
    expect(await release()).toEqual({ released: 2 });
    await days(1);
    expect((await states()).slice(0, 2)).toEqual(['one accepted', 'two accepted']);
  });

  it('with a time of day alone go at once, and those with quiet hours behind them: both were said to keep their hours', async () => {
    const overdue = t.test.app.get(OverdueService, { strict: false });
    await overdue.setSettings({ policy: 'ask', afterHours: 24 });
    await t.test.runDue();
    await t.publish('- { key: hour, email: emails/story, delay: 1 day, at: "10:00" }');
    const other =
      '- { key: quiet, email: emails/story, delay: 1 day, quietHours: { from: "21:00", to: "08:00" } }';
    await t.publish(other, undefined, 'other');
    const id = await t.person('reader@example.com');
    await t.enroll(id);
    await t.enroll(id, 'other');
    t.clock.set('2026-01-06T10:00:00Z');
    await t.run();
    await days(3);
    t.clock.set('2026-01-10T02:00:00Z');
    expect(await release()).toEqual({ released: 2 });
    await t.test.runDue();
    expect((await states()).toSorted()).toEqual(['hour accepted', 'quiet ready: outside the send window']);
  });
});
