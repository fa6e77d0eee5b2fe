import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Split } from '../../../src/broadcasts/split.js';
import type { PostOffice } from '../delivery/post-office.js';
import { FOREVER, openDesk, SPLIT, type Desk } from './desk.js';

describe('arms of a broadcast that have hours', () => {
  let desk: Desk;
  let t: PostOffice;
  beforeAll(async () => {
    desk = await openDesk();
    t = desk.t;
  });
  afterAll(async () => t.close());
  afterEach(async () => desk.clear());

  const plan = async (): Promise<void> => desk.planner.run(FOREVER);
  const started = async (split: Split, expiresAt: Date | null = null): Promise<string> => {
    await t.db.query(
      `insert into subscriber (email, email_key, status, time_zone, created_at, updated_at)
       select 'p' || g || '@example.com', 'p' || g || '@example.com', 'active',
         case when g % 2 = 0 then 'Asia/Tokyo' else 'Europe/Vienna' end, $1, $1 from generate_series(1, 60) g`,
      [t.clock.now()],
    );
    const { id } = await desk.broadcasts.create(desk.draft({ split, expiresAt }));
    const local = { atLocal: '2026-03-03T09:00', fallbackZone: 'UTC', ifPassed: 'nextDay' as const };
    await desk.broadcasts.start(id, null, { local, spreadMinutes: 0 });
    t.clock.set('2026-03-02T20:00:00Z');
    await plan();
    return id;
  };
  const at = async (time: string): Promise<void> => {
    t.clock.set(time);
    await plan();
    await t.sendDue();
  };
  /** By arm, when their mails are due on their readers' clocks; those that a relay has taken, when it took them. */
  const hours = async (state: string): Promise<Record<string, string[]>> => {
    const rows: { arm: string; hours: string[] }[] = await t.db.query(
      `select coalesce(arm::text, 'rest') as arm, array_agg(distinct to_char(
         (case when state = 'accepted' then accepted_at else due_at end) at time zone s.time_zone, 'DD HH24:MI')) as hours
       from message m join subscriber s on s.id = m.subscriber_id where m.state = $1 group by 1 order by 1`,
      [state],
    );
    return Object.fromEntries(rows.map((row) => [row.arm, row.hours]));
  };
  const HOURS: Split = { ...SPLIT, arms: [{}, { at: '20:00' }], testPercent: 60 };

  it('go at the next such hour on each reader’s clock when theirs came up in a pause', async () => {
    const id = await started(HOURS);
    await at('2026-03-03T00:00:00Z');
    await desk.broadcasts.pause(id);
    // 09:00 in Vienna and 20:00 in Tokyo come in the pause.
    await at('2026-03-03T08:00:00Z');
    await at('2026-03-03T11:00:00Z');
    await at('2026-03-03T14:00:00Z');
    await desk.broadcasts.resume(id);
    await at('2026-03-03T14:00:00Z');
    expect(await hours('accepted')).toEqual({ 0: ['03 09:00'] });
    expect(await hours('ready')).toEqual({ 0: ['04 09:00'], 1: ['03 20:00', '04 20:00'] });
    for (const time of ['03T19:00', '04T08:00', '04T11:00', '04T13:00', '04T15:00'])
      await at(`2026-03-${time}:00Z`);
    // The rest as well, whose hour is that of the first arm.
    await plan();
    expect(await hours('ready')).toEqual({ rest: ['05 09:00'] });
    await at('2026-03-05T00:00:00Z');
    await desk.broadcasts.pause(id);
    await at('2026-03-05T08:00:00Z');
    await desk.broadcasts.resume(id);
    await at('2026-03-05T08:00:01Z');
    expect(await hours('ready')).toEqual({ rest: ['06 09:00'] });
    await at('2026-03-06T08:00:00Z');
    await desk.settle(id);
    expect(await desk.broadcasts.get(id)).toMatchObject({ state: 'done', counts: { accepted: 60 } });
  });

  it('go a little before they expire when the next such hour would be too late', async () => {
    const id = await started(HOURS, new Date('2026-03-05T12:00:00Z'));
    await desk.broadcasts.pause(id);
    for (const time of ['03T00:00', '03T08:00', '03T11:00', '03T19:00', '04T22:00'])
      await at(`2026-03-${time}:00Z`);
    await desk.broadcasts.resume(id);
    await at('2026-03-04T22:00:00Z');
    expect(await hours('ready')).toEqual({
      0: ['05 09:00'],
      1: ['05 12:55', '05 20:00'],
    });
  });

  it('keep no mail for more than a day when they are stopped one after the other', async () => {
    const arms = [{ at: '08:00' }, { at: '20:00' }, { at: '14:00' }, { at: '12:00' }];
    const id = await started({ ...SPLIT, arms, testPercent: 90, guardRails: { unsubscribes: '2%' } });
    const stop = async (...stopped: number[]): Promise<void> => {
      const harm = { rail: 'unsubscribes', rate: 0.2, limit: 0.02, at: t.clock.now().toISOString() };
      await t.db.query('update broadcast set stopped_arms = $2 where id = $1', [
        id,
        JSON.stringify(stopped.map((arm) => ({ arm, ...harm }))),
      ]);
      await plan();
    };
    for (const hour of ['02T23', '03T03', '03T05', '03T07', '03T11']) await at(`2026-03-${hour}:00:00Z`);
    await at('2026-03-03T13:30:00Z');
    await stop(1);
    // What waited in Vienna for 20:00 waits for an hour of the others.
    expect(await hours('ready')).toEqual({ '-1': ['04 08:00'], '-3': ['04 14:00'], '-4': ['04 12:00'] });
    await at('2026-03-04T11:30:00Z');
    await stop(1, 2);
    expect(new Set(Object.values(await hours('ready')).flat())).toEqual(new Set(['04 14:00']));
    await at('2026-03-04T13:00:00Z');
    expect(await hours('ready')).toEqual({});
  });
});

describe('arms of a broadcast that have delays', () => {
  let desk: Desk;
  let t: PostOffice;
  beforeAll(async () => {
    desk = await openDesk();
    t = desk.t;
  });
  afterAll(async () => t.close());
  afterEach(async () => desk.clear());

  const DELAYS: Split = { ...SPLIT, arms: [{}, { delayMinutes: 180 }], testPercent: 60 };
  const at = async (time: string): Promise<void> => {
    t.clock.set(time);
    await desk.planner.run(FOREVER);
    await t.sendDue();
    await desk.planner.run(FOREVER);
  };
  /** When the mails of each arm, and of the rest, were taken. */
  const taken = async (): Promise<Record<string, string[]>> => {
    const rows: { arm: string; hours: string[] }[] = await t.db.query(
      `select coalesce(arm::text, 'rest') as arm, array_agg(distinct to_char(accepted_at at time zone 'UTC', 'HH24:MI')) as hours
       from message where state = 'accepted' group by 1 order by 1`,
    );
    return Object.fromEntries(rows.map((row) => [row.arm, row.hours]));
  };
  const click = async (arm: number, at: string, count: number): Promise<void> => {
    await t.db.query(
      `insert into tracking_event (kind, message_id, class, reason, rule_version, at)
       select 'click', id, 'human', 'as the test says', 1, $2 from message where arm = $1 order by id limit $3`,
      [arm, at, count],
    );
  };

  it('go so much later, are judged by the same time for each reader, and the rest waits as long from the decision on', async () => {
    await desk.people(120);
    const id = await desk.started({ split: DELAYS });
    await at('2026-03-02T09:00:00Z');
    expect(await taken()).toEqual({ 0: ['09:00'] });
    // More than two hours after their mail: it counts for nobody, though the test still runs.
    await click(0, '2026-03-02T11:30:00Z', 30);
    await at('2026-03-02T12:00:00Z');
    expect(await taken()).toEqual({ 0: ['09:00'], 1: ['12:00'] });
    expect((await desk.broadcasts.get(id)).decideAt).toEqual(new Date('2026-03-02T14:00:00Z'));
    await click(1, '2026-03-02T13:30:00Z', 25);
    await at('2026-03-02T14:00:00Z');
    expect(await desk.broadcasts.get(id)).toMatchObject({
      decision: { verdict: 'winner', arm: 1 },
      arms: [{ clickers: 0 }, { clickers: 25 }],
    });
    await at('2026-03-02T16:59:00Z');
    expect(await taken()).not.toHaveProperty('rest');
    await at('2026-03-02T17:00:00Z');
    expect(await taken()).toEqual({ 0: ['09:00'], 1: ['12:00'], rest: ['17:00'] });
  });
});
