import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { API_KEY } from '../../../support/app.js';
import { openCourse, type Course } from '../course.js';

const mail = (key: string): string => `{ key: ${key}, email: emails/story }`;
const STEPS = `- ${mail('one')}
- key: ask
  switch: [{ if: { clicked: one }, then: [${mail('clicked')}] }, { if: { opened: one }, then: [${mail('opened')}] }]
  within: 3 days
  else: [${mail('neither')}]`;

describe('an opening or a click', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => t.clear());

  const inSegment = async (conditions: object): Promise<number> => {
    const { body } = await t.test.http
      .post('/api/v1/segments/count')
      .set('Authorization', `Bearer ${API_KEY}`)
      .send({ conditions });
    return Number((body as { count: number }).count);
  };

  it.each([
    ['open', 'human', 'opened'],
    ['open', 'unknown', 'opened'],
    ['open', 'proxy', 'neither'],
    ['open', 'scanner', 'neither'],
    ['click', 'human', 'clicked'],
    ['click', 'unknown', 'neither'],
    ['click', 'proxy', 'neither'],
    ['click', 'scanner', 'neither'],
  ] as const)(
    'means the same to branches, exits, entries and segments: %s by %s',
    async (kind, by, means) => {
      const later = `- { key: later, email: emails/nudge, delay: 9 days }`;
      await t.publish(STEPS);
      await t.publish(later, 'enterOn: [{ opened: one, sequence: course }]', 'after-open');
      await t.publish(later, 'enterOn: [{ clicked: one, sequence: course }]', 'after-click');
      await t.publish(`- ${mail('one')}\n${later}`, 'exitOn: [{ opened: one }]', 'ends');
      const id = await t.person('reader@example.com');
      for (const key of ['course', 'ends']) await t.enroll(id, key);
      await t.run();
      await t.gone();
      t.clock.set('2026-01-06T09:00:00Z');
      await t.hit(id, 'one', kind, by);
      await t.run();
      await t.at('2026-01-08T09:00:00Z');
      await t.run();
      const [opened, clicked] = [means !== 'neither', means === 'clicked'];
      expect(await t.mails(id)).toEqual(expect.arrayContaining(['one', means]));
      expect((await t.place(id, 'ends'))?.['status']).toBe(opened ? 'exited' : 'active');
      expect([
        (await t.place(id, 'after-open')) !== undefined,
        (await t.place(id, 'after-click')) !== undefined,
      ]).toEqual([opened, clicked]);
      expect([
        await inSegment({ opened: { withinDays: 90 } }),
        await inSegment({ clicked: { withinDays: 90 } }),
      ]).toEqual([Number(opened), Number(clicked)]);
      expect(await inSegment({ not: { opened: { withinDays: 90 } } })).toBe(Number(!opened));
    },
  );
});
