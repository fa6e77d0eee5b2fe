import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TimesOfEvents1765300000000 } from '../../../../src/infra/database/migrations/1765300000000-times-of-events.js';
import { API_KEY } from '../../../support/app.js';
import { openCourse, type Course } from '../course.js';

const mail = (key: string, more = ''): string => `{ key: ${key}, email: emails/story${more} }`;
const PAID = `
- ${mail('one')}
- { key: pick, if: { event: paid, within: 3 days }, then: [${mail('yes')}], else: [${mail('no')}] }
- { key: rest, wait: 1 day }
- { key: again, if: { event: paid }, then: [{ key: client, tag: client }] }`;

/** Monday 5 January 2026, 09:00 UTC is when each test begins. */
describe('an event that is told after it has happened', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => t.clear());

  const tell = async (
    subscriberId: string,
    name: string,
    more: { at?: string; key?: string } = {},
  ): Promise<{ status: number; body: Record<string, unknown> }> =>
    t.post('/api/v1/events', { subscriberId, name, ...more });
  const join = async (address = 'reader@example.com'): Promise<string> => {
    const id = await t.person(address);
    await t.enroll(id);
    await t.run();
    return id;
  };

  it('counts for who joined before it happened, and not for who joined after it, whenever it was told', async () => {
    await t.publish(PAID, 'reentry: always');
    const early = await join();
    t.clock.set('2026-01-06T09:00:00Z');
    const late = await join('late@example.com');
    t.clock.set('2026-01-06T15:00:00Z');
    for (const id of [early, late]) await tell(id, 'paid', { at: '2026-01-06T08:00:00Z' });
    await t.run();
    expect([await t.mails(early), await t.mails(late)]).toEqual([['one', 'yes'], ['one']]);
    await t.at('2026-01-09T09:00:00Z');
    expect(await t.mails(late)).toEqual(['one', 'no']);
  });

  it('takes nobody back who was past its time-out, says so, and is known to what asks later', async () => {
    await t.publish(PAID);
    const id = await join();
    await t.at('2026-01-08T09:00:00Z');
    expect(await t.mails(id)).toEqual(['one', 'no']);
    t.clock.set('2026-01-08T12:00:00Z');
    await tell(id, 'paid', { at: '2026-01-08T08:00:00Z' });
    await t.run();
    await t.at('2026-01-09T09:00:00Z');
    expect(await t.mails(id)).toEqual(['one', 'no']);
    expect(await t.outcomes(id)).toMatchObject({ pick: 'else', again: 'then' });
    const why = await t.test.http
      .get(`/api/v1/messages/explain?subscriberId=${id}&funnel=course&step=yes`)
      .set('Authorization', `Bearer ${API_KEY}`);
    expect(JSON.stringify(why.body)).toMatch(/EVENT_TOLD_LATE.*“paid” had come by then.*stays so/);
  });

  it('is now where its clock is a little behind ours: who joined a second ago was before it', async () => {
    await t.publish(PAID);
    const id = await t.person('reader@example.com');
    t.clock.set('2026-01-05T09:00:01.500Z');
    await t.enroll(id);
    await t.run();
    await tell(id, 'paid', { at: '2026-01-05T09:00:01Z' });
    await t.run();
    expect(await t.mails(id)).toEqual(['one', 'yes']);
  });

  it('in time for a worker that was late itself, goes the way of who did it in time', async () => {
    await t.publish(PAID);
    const id = await join();
    t.clock.set('2026-01-08T11:00:00Z');
    await tell(id, 'paid', { at: '2026-01-08T08:00:00Z' });
    await t.run();
    expect(await t.mails(id)).toEqual(['one', 'yes']);
  });

  it('ends no sequence that began after it, and reaches no goal there', async () => {
    await t.publish(`- ${mail('one', ', delay: 9 days')}`, 'exitOn: [{ event: paid }]', 'ends');
    await t.publish(`- ${mail('one', ', delay: 9 days')}\n- { key: there, goal: { event: paid } }`);
    const id = await t.person('reader@example.com');
    t.clock.set('2026-01-06T09:00:00Z');
    for (const key of ['ends', 'course']) await t.enroll(id, key);
    t.clock.set('2026-01-06T10:00:00Z');
    await tell(id, 'paid', { at: '2026-01-06T08:59:59Z' });
    for (const key of ['ends', 'course']) expect(await t.place(id, key)).toMatchObject({ status: 'active' });
    await tell(id, 'paid', { at: '2026-01-06T09:00:00Z' });
    for (const key of ['ends', 'course']) expect((await t.place(id, key))?.status).not.toBe('active');
  });

  it.each([
    ['an hour that is still to come', 'delay: 1 day', '2026-01-05T06:00:00Z', '2026-01-06T06:00:00.000Z'],
    ['a time that is past: now', 'delay: 1 hour', '2026-01-05T06:00:00Z', '2026-01-05T09:00:00.000Z'],
    ['an hour of the day', 'delay: 1 hour, at: "08:00"', '2026-01-04T06:00:00Z', '2026-01-06T08:00:00.000Z'],
    ['no time', '', '2026-01-05T06:00:00Z', '2026-01-05T09:00:00.000Z'],
  ])('begins a sequence as of its own time: %s', async (_, delay, at, due) => {
    await t.publish(`- ${mail('one', delay === '' ? '' : `, ${delay}`)}`, 'enterOn: [{ event: cart-left }]');
    const id = await t.person('reader@example.com');
    await tell(id, 'cart-left', { at });
    expect((await t.place(id))?.nextAt).toEqual(new Date(due));
  });

  it('begins nothing anew by what happened before the last time, and counts days between from its own', async () => {
    await t.publish(`- ${mail('one')}`, 'enterOn: [{ event: visited }]\nreentry: after 2 days');
    const id = await t.person('reader@example.com');
    const times = async (): Promise<unknown> => (await t.place(id))?.occurrence;
    await tell(id, 'visited', { at: '2026-01-04T09:00:00Z' });
    await t.run();
    t.clock.set('2026-01-08T09:00:00Z');
    await tell(id, 'visited', { at: '2026-01-03T09:00:00Z' });
    // It ended on Monday at nine, whenever it began.
    await tell(id, 'visited', { at: '2026-01-07T08:59:59Z' });
    expect(await times()).toBe(1);
    await tell(id, 'visited', { at: '2026-01-07T09:00:00Z' });
    expect(await times()).toBe(2);
  });

  it('begins nothing anew by what happened while they were in it, told after its end: they got the whole course twice', async () => {
    await t.publish(
      `- ${mail('one')}\n- ${mail('two', ', delay: 1 day')}`,
      'enterOn: [{ event: visited }]\nreentry: always',
    );
    const id = await t.person('reader@example.com');
    await tell(id, 'visited');
    await t.run();
    await t.at('2026-01-06T09:00:00Z');
    t.clock.set('2026-01-06T12:00:00Z');
    await tell(id, 'visited', { at: '2026-01-06T08:00:00Z' });
    expect(await t.place(id)).toMatchObject({ status: 'completed', occurrence: 1 });
    await tell(id, 'visited', { at: '2026-01-06T10:00:00Z' });
    expect(await t.place(id)).toMatchObject({ status: 'active', occurrence: 2 });
  });

  it('hears events that come in one go after an outage as if each had come in time, also two of one second', async () => {
    const steps = `- { key: pick, if: { event: paid, within: 2 hours }, then: [${mail('thanks')}], else: [${mail('nudge')}] }`;
    await t.publish(steps, 'enterOn: [{ event: cart-left }]\nreentry: per event');
    const id = await t.person('reader@example.com');
    const twin = await t.person('twin@example.com');
    await tell(id, 'cart-left', { key: '1', at: '2026-01-05T06:00:00Z' });
    await tell(id, 'paid', { key: '1', at: '2026-01-05T06:10:00Z' });
    for (const name of ['cart-left', 'paid'])
      await tell(twin, name, { key: '1', at: '2026-01-05T06:00:00Z' });
    await t.run();
    expect([await t.mails(id), await t.mails(twin)]).toEqual([['thanks'], ['thanks']]);
  });

  it('of before its time was checked is at the time when it was told, where a clock that was off would change what it means', async () => {
    await t.publish(PAID);
    const id = await t.person('reader@example.com');
    await t.enroll(id);
    const times = [
      ['ahead of every clock', '2030-01-01T00:00:00Z', '2026-01-04T09:00:00Z'],
      ['ahead, over the beginning', '2026-01-05T10:00:00Z', '2026-01-05T08:59:00Z'],
      ['behind, over the beginning', '2026-01-05T08:58:00Z', '2026-01-05T09:01:00Z'],
      ['behind, by more', '2026-01-05T08:58:00Z', '2026-01-05T09:03:01Z'],
      ['behind, elsewhere', '2026-01-05T09:58:00Z', '2026-01-05T10:00:00Z'],
    ];
    for (const [name, at, told] of times)
      await t.db.query(
        'insert into subscriber_event (subscriber_id, name, at, created_at) values ($1, $2, $3, $4)',
        [id, name, at, told],
      );
    const runner = t.db.createQueryRunner();
    await new TimesOfEvents1765300000000().up(runner);
    await runner.release();
    const changed = await t.db.query('select name from subscriber_event where at = created_at order by id');
    expect(changed).toEqual(times.slice(0, 3).map(([name]) => ({ name })));
  });

  it('is refused when it is too old or has not come yet, and known when it is told again', async () => {
    const id = await t.person('reader@example.com');
    const code = async (at: string, key?: string): Promise<unknown> => {
      const { status, body } = await tell(id, 'paid', key === undefined ? { at } : { at, key });
      return status === 201 ? body['known'] : [status, body['code'], body['detail']];
    };
    expect(await code('2025-12-06T09:00:00Z', 'old')).toBe(false);
    expect(await code('2025-12-06T08:59:59Z')).toEqual([
      422,
      'EVENT_TIME_INVALID',
      'at: 2025-12-06T08:59:59.000Z is more than 30 days ago',
    ]);
    expect(await code('2026-01-05T09:05:00Z')).toBe(false);
    expect(await code('2026-01-05T09:05:01Z')).toEqual([
      422,
      'EVENT_TIME_INVALID',
      'at: 2026-01-05T09:05:01.000Z has not come yet',
    ]);
    t.clock.set('2026-03-01T09:00:00Z');
    expect(await code('2025-12-06T09:00:00Z', 'old')).toBe(true);
    // A clock that is a little ahead makes nothing happen in the future.
    expect(await t.db.query('select at from subscriber_event order by id')).toEqual([
      { at: new Date('2025-12-06T09:00:00Z') },
      { at: new Date('2026-01-05T09:00:00Z') },
    ]);
  });
});
