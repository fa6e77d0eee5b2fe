import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { PausesService } from '../../src/privacy/pauses.service.js';
import { API_KEY, linkIn } from '../support/app.js';
import { openWalk, type Walk } from './walk.js';
import { empty } from '../support/database.js';

const mail = (key: string, more = ''): string => `- { key: ${key}, email: emails/story${more} }`;
const BERLIN = 'Europe/Berlin';
const READER = 'reader@example.com';

/** From the form to the mails that arrive, as an owner would try a sequence out. */
describe('a sequence, walked from its form', () => {
  let t: Walk;
  beforeAll(async () => {
    t = await openWalk();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => {
    await cap(null);
    await empty(t.db, 'message_attempt, orders, rate_limit, suppression, consent_event, topic_opt_out');
    await t.clear();
  });

  const cap = async (perDay: number | null): Promise<void> => {
    const put = t.test.http.put('/api/v1/sending/frequency').set('Authorization', `Bearer ${API_KEY}`);
    await put.send({ perDay, perWeek: null }).expect(200);
  };

  it('keeps to office hours, quiet hours and weekdays over the night in which the clocks change', async () => {
    t.clock.set('2026-03-27T19:30:00Z');
    await t.publish(
      `${mail('welcome')}\n${mail('soon', ', delay: 2 hours')}\n${mail('hour', ', delay: 1 day, at: "10:30"')}\n${mail('days', ', delay: 3 days, onDays: [tue, thu]')}`,
      `window: { days: [mon, tue, wed, thu, fri], from: "08:00", to: "19:00", timezone: subscriber }\nquietHours: { from: "18:00", to: "09:00" }`,
    );
    await t.signUp(READER, { timeZone: BERLIN });
    await t.until('2026-04-20T00:00:00Z');
    expect(await t.inbox(READER, BERLIN)).toEqual([
      'Fri 27 Mar 20:30 welcome',
      'Mon 30 Mar 09:00 soon',
      'Tue 31 Mar 10:30 hour',
      'Tue 7 Apr 09:00 days',
    ]);
  });

  it('sends at an hour that the clocks leave out right behind it, and once at one that comes twice', async () => {
    const nights = [1, 2, 3].map((night) => mail(`night${night}`, ', delay: 1 day, at: "02:30"')).join('\n');
    await t.publish(nights);
    t.clock.set('2026-03-27T12:00:00Z');
    await t.signUp(READER, { timeZone: BERLIN });
    await t.until('2026-10-23T12:00:00Z');
    await t.signUp('autumn@example.com', { timeZone: BERLIN });
    await t.until('2026-10-30T00:00:00Z');
    expect(await t.inbox(READER, BERLIN)).toEqual([
      'Sat 28 Mar 02:30 night1',
      'Sun 29 Mar 03:00 night2',
      'Mon 30 Mar 02:30 night3',
    ]);
    expect(await t.inbox('autumn@example.com', BERLIN)).toEqual([
      'Sat 24 Oct 02:30 night1',
      'Sun 25 Oct 02:30 night2',
      'Mon 26 Oct 02:30 night3',
    ]);
  });

  it('of which a mail waits for the cap until its offer is over, says so, and goes on', async () => {
    await cap(1);
    await t.publish(
      `${mail('one')}\n- { key: pitch, offer: course-kit, email: emails/offer, delay: 1 hour, deadline: 12 hours }\n${mail('last', ', delay: 1 hour')}
- { key: was, if: { step: pitch, was: skipped }, then: [{ key: spared, tag: spared }] }`,
    );
    const id = await t.signUp(READER);
    await t.until('2026-01-08T00:00:00Z');
    expect(await t.inbox(READER)).toEqual(['Mon 5 Jan 09:00 one', 'Tue 6 Jan 09:00 last']);
    const why = await t.test.http
      .get(`/api/v1/messages/explain?subscriberId=${id}&funnel=course&step=pitch`)
      .set('Authorization', `Bearer ${API_KEY}`);
    expect(why.body).toMatchObject({ decidedBy: 'EXPIRED' });
  });

  it('is left by the link in its mail; who comes back by the form begins anew where it may, and gets nothing that waited', async () => {
    const steps = `${mail('one')}\n${mail('two', ', delay: 1 day')}\n${mail('three', ', delay: 1 day')}`;
    await t.publish(steps, 'reentry: always');
    await t.publish(steps, '', 'once');
    const id = await t.signUp(READER);
    await t.signUp(READER, { key: 'once' });
    await t.until('2026-01-06T12:00:00Z');
    const last = (await t.test.mailsTo(READER)).at(-1);
    if (!last) throw new Error('no mail came');
    await t.test.http.post(linkIn(last, /\/u\//)).expect(200);
    await t.until('2026-01-08T12:00:00Z');
    expect(await t.place(id)).toMatchObject({ status: 'exited', reason: 'unsubscribed' });
    const before = await t.inbox(READER);
    await t.signUp(READER);
    await t.until('2026-01-12T12:00:00Z');
    expect((await t.inbox(READER)).slice(before.length)).toEqual([
      'Thu 8 Jan 12:00 one',
      'Fri 9 Jan 12:00 two',
      'Sat 10 Jan 12:00 three',
    ]);
    expect(await t.place(id, 'once')).toMatchObject({ status: 'exited', occurrence: 1 });
  });

  it('moves people to one they are in already, who stay there as they were', async () => {
    await t.publish(`${mail('a')}\n${mail('b', ', delay: 5 days')}`, '', 'second');
    await t.publish(`${mail('one')}\n- { key: go, move: second, delay: 1 day }`);
    const id = await t.signUp(READER, { key: 'second' });
    t.clock.set('2026-01-06T09:00:00Z');
    await t.signUp(READER);
    await t.until('2026-01-20T00:00:00Z');
    expect(await t.inbox(READER)).toEqual(['Mon 5 Jan 09:00 a', 'Tue 6 Jan 09:00 one', 'Sat 10 Jan 09:00 b']);
    expect(await t.place(id)).toMatchObject({ status: 'exited', reason: 'moved to second' });
    expect(await t.place(id, 'second')).toMatchObject({ status: 'completed', occurrence: 1 });
  });

  it('looks at a date anew that is moved while it is waited for: further, nearer, and into the past', async () => {
    const near = ', until: { field: renewal, minus: 2 days }, at: "10:00"';
    await t.publish(`${mail('one')}\n${mail('reminder', near)}\n${mail('after', ', delay: 1 day')}`);
    const id = await t.signUp(READER, { timeZone: BERLIN });
    const other = await t.signUp('other@example.com', { timeZone: BERLIN });
    // There was no date: both are past the reminder.
    await t.until('2026-01-07T00:00:00Z');
    expect(await t.inbox(READER, BERLIN)).toEqual(['Mon 5 Jan 10:00 one', 'Tue 6 Jan 10:00 after']);
    await empty(t.db, 'enrollment');
    for (const one of [id, other]) {
      await t.patch(`/api/v1/subscribers/${one}`, { fields: { renewal: '2026-02-01' } });
      await t.enroll(one);
    }
    await t.until('2026-01-10T00:00:00Z');
    await t.patch(`/api/v1/subscribers/${id}`, { fields: { renewal: '2026-03-01' } });
    await t.patch(`/api/v1/subscribers/${other}`, { fields: { renewal: '2026-01-03' } });
    await t.until('2026-02-15T00:00:00Z');
    expect((await t.inbox('other@example.com', BERLIN)).slice(2)).toEqual([
      'Wed 7 Jan 01:00 one',
      'Sat 10 Jan 10:00 reminder',
      'Sun 11 Jan 10:00 after',
    ]);
    expect((await t.inbox(READER, BERLIN)).slice(3)).toEqual([]);
    await t.until('2026-03-15T00:00:00Z');
    expect((await t.inbox(READER, BERLIN)).slice(3)).toEqual([
      'Fri 27 Feb 10:00 reminder',
      'Sat 28 Feb 10:00 after',
    ]);
  });

  it('ends a reader’s pause with what came up in it, at its own hour where it has one', async () => {
    await t.publish(
      `${mail('one')}\n${mail('hour', ', delay: 1 day, at: "09:30"')}\n${mail('next', ', delay: 1 day')}`,
    );
    const id = await t.signUp(READER, { timeZone: BERLIN });
    await t.until('2026-01-06T02:17:00Z');
    await t.test.app.get(PausesService, { strict: false }).begin(id, 7);
    await t.until('2026-01-20T00:00:00Z');
    expect(await t.inbox(READER, BERLIN)).toEqual([
      'Mon 5 Jan 10:00 one',
      'Tue 13 Jan 09:30 hour',
      'Wed 14 Jan 09:30 next',
    ]);
  });
});
