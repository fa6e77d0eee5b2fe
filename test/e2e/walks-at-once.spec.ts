import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { PeopleMovesService } from '../../src/sequences/moves/people-moves.service.js';
import type { MoveMode } from '../../src/sequences/moves/placement.js';
import { API_KEY } from '../support/app.js';
import { Dice } from '../support/dice.js';
import { openSmtpSink, type SmtpSink } from '../support/smtp-sink.js';
import { openWalk, type Walk } from './walk.js';
import { empty } from '../support/database.js';

const mail = (key: string, more = ''): string => `- { key: ${key}, email: emails/story${more} }`;
const READER = 'reader@example.com';

/** Two things at the same moment, with a relay that takes its time. Monday 5 January 2026, 09:00 UTC is when each begins. */
describe('a sequence to which two things happen at once', () => {
  let t: Walk;
  let relay: SmtpSink;
  beforeAll(async () => {
    relay = await openSmtpSink();
    t = await openWalk({ relay: relay.url });
  });
  afterAll(async () => {
    await t?.test.close();
    await relay?.close();
  });
  afterEach(async () => {
    relay.onRecipient = async () => undefined;
    relay.onBody = async () => undefined;
    relay.mails.length = 0;
    await empty(t.db, 'message_attempt, orders, conversion');
    await t.clear();
  });

  const join = async (address = READER): Promise<string> => {
    const id = await t.person(address);
    await t.enroll(id);
    return id;
  };
  const tag = async (id: string, name: string): Promise<void> => {
    expect(await t.post(`/api/v1/subscribers/${id}/tags`, { name })).toMatchObject({ status: 200 });
  };
  const arrivedAt = (address: string): number => relay.mails.filter(({ to }) => to.includes(address)).length;

  it('stops a mail whose goal is reached before its body is under way, and lets arrive one that is', async () => {
    await t.publish(
      `${mail('one')}\n- { key: rest, wait: 2 days }\n- { key: there, goal: { tag: client } }\n${mail('thanks', ', delay: 1 hour')}`,
    );
    const [early, late] = [await join(), await join('late@example.com')];
    await t.run();
    relay.onRecipient = async (address) => {
      if (address === READER) await tag(early, 'client');
      return undefined;
    };
    relay.onBody = async () => {
      relay.onBody = async () => undefined;
      await tag(late, 'client');
      return undefined;
    };
    await t.test.runDue();
    expect([arrivedAt(READER), arrivedAt('late@example.com')]).toEqual([0, 1]);
    for (const id of [early, late]) expect(await t.place(id)).toMatchObject({ step: 'thanks' });
    await t.until('2026-01-05T11:00:00Z');
    expect([await t.mails(early), await t.mails(late)]).toEqual([['thanks'], ['one', 'thanks']]);
    expect([arrivedAt(READER), arrivedAt('late@example.com')]).toEqual([1, 2]);
  });

  it('goes to a goal by an event that ends it, too, and hears of one that came before its wait began', async () => {
    await t.publish(
      `${mail('one', ', delay: 1 day')}\n- { key: there, goal: { event: paid } }\n- { key: pick, if: { event: called, within: 1 day }, then: [${mail('yes').slice(2)}], else: [${mail('no').slice(2)}] }`,
      'exitOn: [{ event: paid }]',
    );
    const id = await join();
    await t.run();
    t.clock.set('2026-01-05T10:00:00Z');
    for (const name of ['called', 'paid']) await t.post('/api/v1/events', { subscriberId: id, name });
    await t.test.runDue();
    expect([await t.mails(id), await t.outcomes(id)]).toEqual([['yes'], { there: 'reached', pick: 'then' }]);
    expect(arrivedAt(READER)).toBe(1);
  });

  it('buys while a pitch waits, gets the money back, and is pitched anew', async () => {
    const put = t.test.http.put('/api/v1/sending/frequency').set('Authorization', `Bearer ${API_KEY}`);
    await put.send({ perDay: 1, perWeek: null }).expect(200);
    const pitch = (key: string, delay: string): string =>
      `- { key: ${key}, offer: course-kit, email: emails/offer${delay} }`;
    await t.publish(
      `${mail('one')}\n${pitch('first', ', delay: 1 hour')}\n- { key: kind, if: { purchased: course-kit, within: 1 day }, then: [${mail('client', ', delay: 1 day').slice(2)}] }\n${pitch('second', ', delay: 1 day')}\n${pitch('third', ', delay: 2 days')}`,
    );
    const id = await join();
    await t.until('2026-01-05T11:00:00Z');
    const send = (path: string, fields: object) =>
      t.test.http.post(path).set('Accept', 'text/html').type('form').send(fields);
    const pending = await send('/checkout/course-kit', { email: READER, name: 'Rita' }).expect(303);
    await send(String(pending.headers['location']).replace(/^https?:\/\/[^/]+/, ''), {
      outcome: 'paid',
    }).expect(303);
    expect(await t.mails(id)).toContain('one');
    expect(await t.mails(id)).not.toContain('first');
    await t.until('2026-01-07T18:00:00Z');
    expect(await t.outcomes(id)).toMatchObject({ kind: 'then', second: 'already owns course-kit' });
    const [order]: { id: string }[] = await t.db.query('select id from orders');
    expect(await t.post(`/api/v1/orders/${order?.id ?? ''}/refund`, {})).toMatchObject({ status: 200 });
    await t.until('2026-01-20T00:00:00Z');
    expect((await t.mails(id)).filter((step) => step !== null)).toEqual(['one', 'client', 'third']);
    await put.send({ perDay: null, perWeek: null });
  });

  it.each<[string, MoveMode, number]>([
    ['forward-only', { kind: 'forward-only' }, 1],
    ['forward-only', { kind: 'forward-only' }, 2],
    ['catch-up', { kind: 'catch-up', since: new Date('2026-01-06T00:00:00Z') }, 3],
    ['catch-up', { kind: 'catch-up', since: new Date('2026-01-08T00:00:00Z') }, 4],
    ['re-map', { kind: 're-map', steps: {} }, 5],
  ])('counts before an edit who gets what behind it: %s %j, seed %i', async (_, mode, seed) => {
    const dice = new Dice(seed);
    const steps = (keys: readonly string[]): string =>
      keys.map((key, nth) => mail(key, nth === 0 ? '' : ', delay: 1 day')).join('\n');
    const old = ['a', 'b', 'c', 'd'];
    await t.publish(steps(old));
    const people: string[] = [];
    for (let day = 5; day < 10; day++) {
      await t.until(`2026-01-0${day}T09:00:00Z`);
      people.push(await join(`reader${day}@example.com`), await join(`other${day}@example.com`));
      await t.run();
    }
    const edited = [...old];
    for (const key of ['x', 'y']) edited.splice(dice.whole(1, edited.length), 0, key);
    if (dice.chance(0.5)) edited.splice(edited.indexOf('c'), 1);
    if (dice.chance(0.5)) edited.push(...edited.splice(edited.indexOf('b'), 1));
    await t.publish(steps(edited));
    const [sequence]: { id: string }[] = await t.db.query(`select id from sequence where key = 'course'`);
    const moves = t.test.app.get(PeopleMovesService, { strict: false });
    const preview = await moves.preview(sequence?.id ?? '', mode);
    const ahead = new Map(await Promise.all(people.map(async (id) => [id, await t.mails(id)] as const)));
    await moves.apply(sequence?.id ?? '', mode);
    await t.until('2026-02-01T00:00:00Z');
    const gained = new Map<string, number>();
    for (const id of people) {
      const all = await t.mails(id);
      expect(new Set(all).size).toBe(all.length);
      const behind = ahead.get(id) ?? [];
      expect(all.slice(0, behind.length)).toEqual(behind);
      for (const step of all.slice(behind.length))
        if (!old.includes(step)) gained.set(step, (gained.get(step) ?? 0) + 1);
    }
    const told = preview.gains.filter(({ step }) => !old.includes(step));
    expect([seed, edited, gained]).toEqual([
      seed,
      edited,
      new Map(told.map(({ step, people: count }) => [step, count])),
    ]);
  });
});
