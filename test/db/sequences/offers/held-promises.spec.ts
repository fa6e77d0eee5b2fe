import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { EnrollmentsService } from '../../../../src/sequences/enrollments/enrollments.service.js';
import { openCourse, type Course } from '../course.js';

const DAY_MS = 86_400_000;
const PAUSES = '/api/v1/sending/sequences/course';

describe('a mail that promises a price for a time and waits in a pause of its sequence', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => t.clear());

  const after = (days: number): Date => new Date(Date.parse('2026-01-05T09:00:00Z') + days * DAY_MS);
  /** The pitch is written on day 0, and its sequence paused then for as many days. */
  const pitched = async (pitch: string, pauses: number[]): Promise<string> => {
    t.clock.set(after(0));
    await t.publish(`- { key: pitch, offer: course-kit, email: emails/offer, ${pitch} }`);
    const id = await t.person('reader@example.com');
    await t.enroll(id);
    await t.run();
    for (const days of pauses) {
      await t.post(`${PAUSES}/pause`, {});
      await t.test.runDue();
      t.clock.advance(days * DAY_MS);
      await t.test.app.get(JobRunner, { strict: false }).run('delivery.expire-stale');
      await t.post(`${PAUSES}/resume`, {});
    }
    await t.test.runDue();
    return id;
  };
  const mails = async (): Promise<unknown> =>
    t.db.query(`select state, data #>> '{offer,expiresAt}' as told, expires_at as ends from message`);
  const promised = async (id: string): Promise<unknown> =>
    (await t.test.app.get(EnrollmentsService, { strict: false }).promised(id, 'course-kit', t.clock.now()))
      ?.until;

  it.each([
    [[2], 'came with what was left of it'],
    [[5], 'never came, as that was over'],
    [[2, 4], 'lost what was left in a second pause'],
  ])('has all of it when it goes after %j days: it %s', async (pauses) => {
    const id = await pitched('deadline: 72 hours', pauses);
    const until = after(pauses.reduce((sum, days) => sum + days) + 3);
    expect(await mails()).toEqual([{ state: 'accepted', told: until.toISOString(), ends: until }]);
    expect(await promised(id)).toEqual(until);
  });

  it('expires all the same with a step that does', async () => {
    await pitched('deadline: 72 hours, expires: 2026-01-09', [5]);
    expect(await mails()).toMatchObject([{ state: 'expired' }]);
  });

  it('of an arm of a test holds as long', async () => {
    const arms = '[{ key: a, deadline: 48 hours }, { key: b, deadline: 96 hours }]';
    await pitched(`deadline: 72 hours, split: { judge: clicks, arms: ${arms} }`, [4]);
    const [row]: { ends: Date }[] = await t.db.query(
      `select expires_at as ends from message where state = 'accepted'`,
    );
    expect([after(6), after(8)]).toContainEqual(row?.ends);
  });

  it('promises no more than another mail did where it has no time of its own', async () => {
    t.clock.set(after(0));
    await t.publish(`- { key: pitch, offer: course-kit, email: emails/offer, deadline: 72 hours }
- { key: again, offer: course-kit, email: emails/offer, delay: 1 day }`);
    const id = await t.person('reader@example.com');
    await t.enroll(id);
    await t.run();
    await t.test.runDue();
    t.clock.set(after(1));
    await t.run();
    await t.post(`${PAUSES}/pause`, {});
    await t.test.runDue();
    t.clock.set(after(2));
    await t.post(`${PAUSES}/resume`, {});
    await t.test.runDue();
    expect(await promised(id)).toEqual(after(3));
    expect(await mails()).toMatchObject([
      { state: 'accepted', ends: after(3) },
      { state: 'accepted', ends: after(3) },
    ]);
  });
});
