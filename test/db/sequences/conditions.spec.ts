import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { API_KEY } from '../../support/app.js';
import { openCourse, type Course } from './course.js';

const mail = (key: string, more = ''): string => `{ key: ${key}, email: emails/story${more} }`;
const asks = (condition: string, within = ''): string => `
- ${mail('one')}
- { key: aside, email: emails/nudge, expires: 2026-01-01 }
- { key: early, if: { tag: early }, then: [${mail('first')}], else: [${mail('other')}] }
- { key: pick, if: ${condition.replace(/ }$/, `${within} }`)}, then: [${mail('yes')}], else: [${mail('no')}] }`;

/** Monday 5 January 2026, 09:00 UTC is when each test begins. */
describe('what branches ask', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => t.clear());

  const bought = { tags: ['bought:course-kit'] };
  it.each([
    ['{ tag: vip }', { tags: ['vip'] }, {}],
    ['{ purchased: course-kit }', bought, {}],
    ['{ field: country, is: DE }', { fields: { country: 'DE' } }, { fields: { country: 'AT' } }],
    ['{ field: country, is: DE }', { fields: { country: 'DE' } }, {}],
    ['{ field: country, isNot: DE }', {}, { fields: { country: 'DE' } }],
    ['{ field: score, over: 10 }', { fields: { score: 11 } }, { fields: { score: 9 } }],
    ['{ field: score, under: 10 }', { fields: { score: 9.5 } }, { fields: { score: 10 } }],
    ['{ field: score, under: 10 }', { fields: { score: -1 } }, {}],
    ['{ field: paid, is: true }', { fields: { paid: true } }, { fields: { paid: false } }],
    ['{ field: score, exists: true }', { fields: { score: 0 } }, {}],
    ['{ field: score, exists: false }', {}, { fields: { score: 0 } }],
    ['{ step: one, was: ran }', {}, null],
    ['{ step: aside, was: skipped }', {}, null],
    ['{ not: { step: aside, was: ran } }', {}, null],
    ['{ step: early, was: then }', { tags: ['early'] }, {}],
    ['{ step: early, was: else }', {}, { tags: ['early'] }],
    ['{ all: [{ tag: a }, { tag: b }] }', { tags: ['a', 'b'] }, { tags: ['a'] }],
    ['{ any: [{ tag: a }, { tag: b }] }', { tags: ['b'] }, { tags: ['c'] }],
    ['{ not: { tag: a } }', {}, { tags: ['a'] }],
  ])('%s', async (condition, holding, other) => {
    // A turn of its own for the branch, so that what came before it is in the database.
    await t.publish(asks(condition).replace('- { key: pick', '- { key: rest, wait: 1 hour }\n- { key: pick'));
    const yes = await t.person('yes@example.com', holding);
    const no = other === null ? null : await t.person('no@example.com', other);
    for (const id of [yes, no]) if (id !== null) await t.enroll(id);
    await t.run();
    await t.at('2026-01-05T10:00:00Z');
    expect((await t.mails(yes)).at(-1)).toBe('yes');
    if (no !== null) expect((await t.mails(no)).at(-1)).toBe('no');
  });

  it.each([
    ['{ clicked: one }', async (id: string) => t.hit(id, 'one', 'click')],
    ['{ opened: one }', async (id: string) => t.hit(id, 'one', 'open')],
    ['{ event: demo-booked }', async (id: string) => tell(id, 'demo-booked')],
    ['{ tag: vip }', async (id: string) => tag(id, 'vip')],
    ['{ field: plan, is: pro }', async (id: string) => set(id, { plan: 'pro' })],
    ['{ any: [{ clicked: one }, { tag: vip }] }', async (id: string) => tag(id, 'vip')],
    ['{ not: { field: plan, exists: false } }', async (id: string) => set(id, { plan: 'free' })],
  ])(
    '%s waits for it, goes on at once, and takes the other way after its time',
    async (condition, happens) => {
      await t.publish(asks(condition, ', within: 3 days'));
      const id = await t.person('reader@example.com');
      const late = await t.person('late@example.com');
      for (const one of [id, late]) await t.enroll(one);
      await t.run();
      expect(await t.place(id)).toMatchObject({ step: 'pick', nextAt: new Date('2026-01-08T09:00:00Z') });
      await t.hit(id, 'one', 'open', 'proxy');
      await t.hit(id, 'one', 'click', 'scanner');
      await t.at('2026-01-06T12:00:00Z');
      expect(await t.place(id)).toMatchObject({ step: 'pick', nextAt: new Date('2026-01-08T09:00:00Z') });
      await happens(id);
      await t.run();
      expect(await t.mails(id)).toEqual(['one', 'other', 'yes']);
      await t.at('2026-01-08T08:59:59Z');
      expect(await t.mails(late)).toEqual(['one', 'other']);
      await t.at('2026-01-08T09:00:00Z');
      expect(await t.mails(late)).toEqual(['one', 'other', 'no']);
    },
  );

  it('goes on waiting, with the same end, after something else has happened', async () => {
    await t.publish(asks('{ all: [{ clicked: one }, { tag: vip }] }', ', within: 3 days'));
    const id = await t.person('reader@example.com');
    await t.enroll(id);
    await t.run();
    await t.at('2026-01-06T00:00:00Z');
    await t.hit(id, 'one', 'click');
    await t.run();
    expect(await t.place(id)).toMatchObject({ step: 'pick', nextAt: new Date('2026-01-08T09:00:00Z') });
    await tag(id, 'vip');
    await t.run();
    expect(await t.mails(id)).toEqual(['one', 'other', 'yes']);
  });

  it('takes the first of several cases that holds, and else when none does', async () => {
    await t.publish(`
- key: level
  switch:
    - { if: { field: level, is: 1 }, then: [${mail('beginner')}] }
    - { if: { field: level, over: 0 }, then: [${mail('expert')}, { key: done, end: true }] }
  else: [${mail('nobody')}]
- ${mail('after')}`);
    const people = { 1: ['beginner', 'after'], 2: ['expert'], 0: ['nobody', 'after'] };
    for (const [level, mails] of Object.entries(people)) {
      const id = await t.person(`level${level}@example.com`, { fields: { level: Number(level) } });
      await t.enroll(id);
      await t.run();
      expect(await t.mails(id)).toEqual(mails);
    }
  });

  it('waits in a switch, too', async () => {
    await t.publish(`
- key: reply
  switch:
    - { if: { tag: a }, then: [${mail('a')}] }
    - { if: { tag: b }, then: [${mail('b')}] }
  within: 2 hours
- ${mail('after')}`);
    const id = await t.person('reader@example.com');
    await t.enroll(id);
    await t.run();
    await tag(id, 'b');
    await t.run();
    expect(await t.mails(id)).toEqual(['b', 'after']);
    expect(await t.outcomes(id)).toEqual({ reply: 'case 2' });
  });

  it('does not take an event of before the sequence for one of now', async () => {
    await t.publish(asks('{ event: demo-booked }'));
    const id = await t.person('reader@example.com');
    await tell(id, 'demo-booked');
    t.clock.advance(1000);
    await t.enroll(id);
    await t.run();
    expect((await t.mails(id)).at(-1)).toBe('no');
  });

  const tell = async (subscriberId: string, name: string): Promise<void> => {
    expect(await t.post('/api/v1/events', { subscriberId, name })).toMatchObject({ status: 201 });
  };
  const tag = async (id: string, name: string): Promise<void> => {
    expect(await t.post(`/api/v1/subscribers/${id}/tags`, { name })).toMatchObject({ status: 200 });
  };
  const set = async (id: string, fields: object): Promise<void> => {
    const change = t.test.http.patch(`/api/v1/subscribers/${id}`).set('Authorization', `Bearer ${API_KEY}`);
    expect((await change.send({ fields })).status).toBe(200);
  };
});
