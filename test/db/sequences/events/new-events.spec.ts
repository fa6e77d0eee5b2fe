import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openCourse, type Course } from '../course.js';

const mail = (key: string): string => `{ key: ${key}, email: emails/story }`;
const wait = (key: string, since = ', since: step', event = 'call'): string =>
  `- { key: ${key}, if: { event: ${event}${since}, within: 5 days }, then: [${mail(`${key}-yes`)}], else: [${mail(`${key}-no`)}] }`;

/** Monday 5 January 2026, 09:00 UTC is when each test begins. */
describe('a wait for an event that says since: step', () => {
  let t: Course;
  beforeAll(async () => {
    t = await openCourse();
  });
  afterAll(async () => t?.test.close());
  afterEach(async () => t.clear());

  const tell = async (subscriberId: string, name = 'call', at?: string): Promise<void> => {
    const told = await t.post('/api/v1/events', { subscriberId, name, ...(at === undefined ? {} : { at }) });
    expect(told.status).toBe(201);
  };
  const join = async (): Promise<string> => {
    const id = await t.person('reader@example.com');
    await t.enroll(id);
    return id;
  };

  it('is not over by one of before the step; without, it is', async () => {
    await t.publish(
      `- { key: day, wait: 1 day }\n${wait('new')}\n${wait('any', ', since: sequence')}\n${wait('usual', '')}`,
    );
    const id = await join();
    await t.run();
    await tell(id);
    await t.at('2026-01-06T09:00:00Z');
    expect(await t.place(id)).toMatchObject({ step: 'new', nextAt: new Date('2026-01-11T09:00:00Z') });
    await t.at('2026-01-11T09:00:00Z');
    expect(await t.mails(id)).toEqual(['new-no', 'any-yes', 'usual-yes']);
  });

  it('of two in a row, each waits for one of its own', async () => {
    await t.publish(`- ${mail('one')}\n${wait('first')}\n${wait('second')}`);
    const id = await join();
    await t.run();
    t.clock.set('2026-01-06T09:00:00Z');
    await tell(id);
    await t.run();
    expect(await t.mails(id)).toEqual(['one', 'first-yes']);
    // Looked at again for another reason, it still waits.
    t.clock.set('2026-01-07T09:00:00Z');
    await t.post(`/api/v1/subscribers/${id}/tags`, { name: 'other' });
    await t.run();
    expect(await t.place(id)).toMatchObject({ step: 'second', nextAt: new Date('2026-01-11T09:00:00Z') });
    await tell(id);
    await t.run();
    expect(await t.mails(id)).toEqual(['one', 'first-yes', 'second-yes']);
  });

  it('hears what came when the step was due and no worker ran yet: it counted from when one did', async () => {
    await t.publish(
      `- { key: day, wait: 1 day }\n- ${mail('one')}\n- { key: label, tag: a }\n${wait('new')}\n${wait('next')}`,
    );
    const id = await join();
    await t.run();
    t.clock.set('2026-01-06T08:59:00Z');
    await tell(id);
    t.clock.set('2026-01-06T12:00:00Z');
    await tell(id);
    t.clock.set('2026-01-06T13:00:00Z');
    await t.run();
    expect(await t.mails(id)).toEqual(['one', 'new-yes']);
    expect(await t.place(id)).toMatchObject({ step: 'next' });
    t.clock.set('2026-01-06T14:00:00Z');
    await tell(id);
    await t.run();
    expect(await t.mails(id)).toEqual(['one', 'new-yes', 'next-yes']);
  });

  it('two that came while no worker ran end two waits', async () => {
    await t.publish(`- ${mail('one')}\n${wait('first')}\n${wait('second')}`);
    const id = await join();
    await t.run();
    for (const time of ['2026-01-06T09:00:00Z', '2026-01-06T10:00:00Z']) {
      t.clock.set(time);
      await tell(id);
    }
    t.clock.set('2026-01-06T11:00:00Z');
    await t.run();
    expect(await t.mails(id)).toEqual(['one', 'first-yes', 'second-yes']);
  });

  it('hears what came before a worker ran also of who joined by an event that was told late', async () => {
    await t.publish(
      wait('paid', ', since: step', 'paid'),
      'enterOn: [{ event: cart-left }]\nreentry: per event',
    );
    const id = await t.person('reader@example.com');
    await tell(id, 'cart-left', '2026-01-05T06:00:00Z');
    await tell(id, 'paid', '2026-01-05T06:10:00Z');
    await t.run();
    expect(await t.mails(id)).toEqual(['paid-yes']);
  });

  it('begins anew behind a goal, and in a switch each case asks for its own', async () => {
    await t.publish(`- { key: long, wait: 9 days }
- { key: bought, goal: { tag: client } }
- key: pick
  switch: [{ if: { event: call, since: step }, then: [${mail('new')}] }, { if: { all: [{ event: call }, { tag: x }] }, then: [${mail('old')}] }]
  within: 5 days
  else: [${mail('none')}]`);
    const id = await join();
    await t.run();
    await tell(id);
    t.clock.set('2026-01-06T09:00:00Z');
    await t.post(`/api/v1/subscribers/${id}/tags`, { name: 'client' });
    await t.run();
    expect(await t.place(id)).toMatchObject({ step: 'pick', nextAt: new Date('2026-01-11T09:00:00Z') });
    await t.post(`/api/v1/subscribers/${id}/tags`, { name: 'x' });
    await t.run();
    expect(await t.mails(id)).toEqual(['old']);
  });

  it('is refused where nobody waits, and in what begins or ends a sequence', async () => {
    const asks = `- { key: ask, if: { event: call, since: step }, then: [${mail('yes')}] }`;
    await expect(t.publish(asks)).rejects.toThrow('steps.0.if.since: nobody waits here; say within');
    await expect(t.publish(asks.replace('since: step', 'since: ever'))).rejects.toThrow(
      'use step or sequence',
    );
    await expect(t.publish(`- ${mail('one')}`, 'exitOn: [{ event: call, since: step }]')).rejects.toThrow(
      'exitOn.0.since',
    );
  });

  it('is asked for by the lint where a wait before is for the same event', async () => {
    const rules = async (since: string): Promise<unknown> =>
      (await t.publish(`${wait('first', since)}\n${wait('second', since)}`)).warnings.flatMap(({ rule }) =>
        rule.startsWith('event') ? [rule] : [],
      );
    expect(await rules('')).toEqual(['event-of-before']);
    expect(await rules(', since: sequence')).toEqual([]);
    expect(await rules(', since: step')).toEqual([]);
  });

  it('is not asked for where the wait before has run out: who is reminded never had the event, and would lose one of before', async () => {
    const first = (asked: string, no: string): string =>
      `- { key: first, if: ${asked}, then: [${mail('first-yes')}], else: [${no}] }`;
    const second = `{ key: second, if: { event: paid, within: 3 days }, then: [${mail('second-yes')}], else: [${mail('gone')}] }`;
    const reminder = `${mail('reminder')}, ${second}`;
    const rules = async (steps: string): Promise<string[]> =>
      (await t.publish(steps)).warnings.flatMap(({ rule }) => (rule.startsWith('event') ? [rule] : []));
    expect(await rules(first('{ event: paid, within: 3 days }', reminder))).toEqual([]);
    const either = '{ any: [{ event: paid }, { tag: client }], within: 3 days }';
    expect(await rules(first(either, reminder))).toEqual([]);
    // Who waits for more than the event may have had it when the time is over.
    const both = '{ all: [{ event: paid }, { tag: client }], within: 3 days }';
    expect(await rules(first(both, reminder))).toEqual(['event-of-before']);
    const behind = `${first('{ event: paid, within: 3 days }', mail('reminder'))}\n- ${second}`;
    expect(await rules(behind)).toEqual(['event-of-before']);
    const picks = `- { key: pick, switch: [{ if: { event: paid }, then: [${mail('yes')}] }, { if: { tag: x } }], within: 3 days, else: [${reminder}] }`;
    expect(await rules(picks)).toEqual([]);
  });
});
