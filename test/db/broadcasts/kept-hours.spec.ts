import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FrequencyCapService } from '../../../src/delivery/pacing/frequency-cap.service.js';
import { PacingService } from '../../../src/delivery/pacing/pacing.service.js';
import { SendingSettingsService } from '../../../src/delivery/pacing/sending-settings.service.js';
import { sendingSettings } from '../../../src/delivery/pacing/sending.schemas.js';
import { OVERDUE } from '../../../src/delivery/message/overdue.js';
import { HeldService } from '../../../src/delivery/waiting/held.service.js';
import { OverdueService } from '../../../src/delivery/waiting/overdue.service.js';
import { SendHours } from '../../../src/delivery/waiting/send-hours.service.js';
import type { BroadcastDraft } from '../../../src/broadcasts/broadcast.js';
import type { IfPassed } from '../../../src/broadcasts/timing.js';
import { FOREVER, openDesk, SPLIT, type Desk } from './desk.js';

/** Days are those of the database's clock: what midnight falls into is done once more. */
const MIDNIGHT = { retry: 1 };
const OUT = { code: 451, text: '4.3.2 System not accepting network messages' };

describe('a broadcast at an hour on each reader’s clock', () => {
  let desk: Desk;
  beforeAll(async () => {
    desk = await openDesk();
  });
  afterAll(async () => desk.t.close());
  afterEach(async () => {
    desk.t.sink.onRecipient = async () => undefined;
    await cap().set({ perDay: null, perWeek: null });
    await desk.clear();
    await desk.t.app.get(SendingSettingsService, { strict: false }).replace(sendingSettings.parse({}));
    desk.t.app.get(PacingService, { strict: false }).forgetCache();
  });

  const cap = (): FrequencyCapService => desk.t.app.get(FrequencyCapService, { strict: false });
  const at = async (time: string): Promise<string[]> => {
    desk.t.clock.set(`2026-03-${time}:00Z`);
    await desk.planner.run(FOREVER);
    await desk.t.sendDue();
    return desk.taken();
  };
  const broadcast = async (
    hour: string,
    { ifPassed = 'nextDay', ...change }: Partial<BroadcastDraft> & { ifPassed?: IfPassed } = {},
  ): Promise<string> => {
    const { id } = await desk.broadcasts.create(desk.draft(change));
    const local = { atLocal: `2026-03-03T${hour}`, fallbackZone: 'UTC', ifPassed };
    await desk.broadcasts.start(id, null, { local, spreadMinutes: 0 });
    return id;
  };
  const berliner = async (): Promise<string> =>
    desk.t.subscriber('berlin@example.com', { timeZone: 'Europe/Berlin' });
  /** No mail of a broadcast for 12:00 in Berlin has gone in the evening; what has kept it is over then. */
  const keptUntil = async (time: string, given: Parameters<typeof broadcast>[1] = {}): Promise<string[]> => {
    await berliner();
    await broadcast('12:00', given);
    await at('03T08:00');
    desk.t.sink.onRecipient = async () => OUT;
    for (const hour of ['11', '12', '14', '16', '18', '20']) expect(await at(`03T${hour}:00`)).toEqual([]);
    desk.t.sink.onRecipient = async () => undefined;
    desk.t.clock.set(`2026-03-${time}:00Z`);
    // Whatever a relay or a pace has put off until: it comes up now.
    await desk.t.db.query('update message set due_at = least(due_at, $1)', [desk.t.clock.now()]);
    return at(time);
  };

  it(
    'went at 01:00 in the night with what the quota of the day had left: it waits for the hour of the next day',
    MIDNIGHT,
    async () => {
      await desk.people(25);
      await desk.t.db.query(`update subscriber set time_zone = 'Europe/Berlin'`);
      const settings = sendingSettings.parse({ global: { perDay: 10 } });
      await desk.t.app.get(SendingSettingsService, { strict: false }).replace(settings);
      desk.t.app.get(PacingService, { strict: false }).forgetCache();
      const nextDay = async (): Promise<unknown> =>
        desk.t.db.query('update send_bucket set quota_day = quota_day - 1');
      await broadcast('12:00');
      await at('03T08:00');
      // Some of the ten are kept for who signs up.
      const { length: day } = await at('03T11:00');
      expect(day).toBeGreaterThan(5);
      for (const hour of ['14', '17', '20', '23']) await at(`03T${hour}:00`);
      await nextDay();
      expect(await at('04T00:01')).toHaveLength(day);
      for (const hour of ['03', '06', '09']) await at(`04T${hour}:00`);
      expect(await at('04T10:59')).toHaveLength(day);
      expect(await at('04T11:00')).toHaveLength(2 * day);
    },
  );

  it(
    'said that the rest goes as the day of the quota begins, at 01:00: it goes at its hour',
    MIDNIGHT,
    async () => {
      const { app, clock, db } = desk.t;
      await berliner();
      const id = await broadcast('12:00');
      await at('03T08:00');
      await db.query(
        `insert into send_bucket (key, burst, tokens, refilled_at, daily_quota, quota_day, used_today, updated_at)
       values ('global', 1, 1, clock_timestamp(), 1, (clock_timestamp() at time zone 'UTC')::date, 1, clock_timestamp())`,
      );
      app.get(PacingService, { strict: false }).forgetCache();
      // A day's quota goes by the clock of the database.
      const [{ time }] = (await db.query(
        `select to_char(clock_timestamp() at time zone 'UTC', 'HH24:MI:SS') as time`,
      )) as [{ time: string }];
      clock.set(`2026-03-04T${time}Z`);
      const { estimate } = await desk.broadcasts.get(id);
      expect(estimate?.completesAt?.toISOString()).toBe('2026-03-05T11:00:00.000Z');
    },
  );

  it('went at 02:00 in the night, a day behind another mail, with the frequency cap', async () => {
    await berliner();
    await cap().set({ perDay: 1, perWeek: null });
    await broadcast('12:00');
    await at('02T10:00');
    desk.t.clock.set('2026-03-03T01:00:00Z');
    const { id } = await desk.broadcasts.create(desk.draft({ title: 'At night' }));
    await desk.broadcasts.start(id, null);
    expect(await at('03T01:00')).toHaveLength(1);
    await at('03T11:00');
    expect(await at('04T01:00')).toHaveLength(1);
    expect(await at('04T11:00')).toHaveLength(2);
  });

  it('went at 02:00 in the night when a relay was out for the evening', async () => {
    expect(await keptUntil('04T01:00')).toEqual([]);
    expect(await at('04T10:59')).toEqual([]);
    expect(await at('04T11:00')).toEqual(['berlin@example.com']);
  });

  it('goes in the evening of its day, when that is over', async () => {
    expect(await keptUntil('03T20:30')).toEqual(['berlin@example.com']);
  });

  it('went at 00:30 in the night where no worker ran for five hours; until 22:00 it goes', async () => {
    await berliner();
    const zone = { timeZone: 'America/New_York' };
    await desk.t.subscriber('york@example.com', zone);
    await broadcast('20:00');
    await at('03T18:00');
    // In New York it is 18:30, then 20:30.
    expect(await at('03T23:30')).toEqual([]);
    expect(await at('04T01:30')).toEqual(['york@example.com']);
    expect(await at('04T18:59')).toHaveLength(1);
    expect(await at('04T19:00')).toHaveLength(2);
  });

  it('goes at any hour rather than never', async () => {
    expect(await keptUntil('04T01:00', { expiresAt: new Date('2026-03-04T10:00:00Z') })).toHaveLength(1);
  });

  it('expired in the minutes behind its hour, as the others of the night go first then: it goes before', async () => {
    expect(await keptUntil('04T01:00', { expiresAt: new Date('2026-03-04T11:04:00Z') })).toHaveLength(1);
    await desk.clear();
    expect(await keptUntil('04T01:00', { expiresAt: new Date('2026-03-04T11:06:00Z') })).toHaveLength(0);
  });

  it('stood in front of everybody’s mails by night, claimed a few at a time at the pace that is allowed', async () => {
    const { app, clock, db } = desk.t;
    await desk.people(60);
    await db.query(`update subscriber set time_zone = 'Europe/Berlin'`);
    await broadcast('12:00');
    await at('03T08:00');
    // One is of no use any more in the morning.
    await db.query(
      `update message set expires_at = '2026-03-04T01:00:00Z' where address = 'p60@example.com'`,
    );
    await app
      .get(SendingSettingsService, { strict: false })
      .replace(sendingSettings.parse({ global: { perSecond: 5, burst: 5 } }));
    app.get(PacingService, { strict: false }).forgetCache();
    clock.set('2026-03-03T23:30:00Z');
    await desk.t.plan('other@example.net', { dueAt: clock.now() });
    await desk.t.sendDue();
    expect(desk.taken()).toEqual(['other@example.net', 'p60@example.com']);
    const [rows] = await db.query(
      `select count(*)::int as "putBack", count(*) filter (where lease_epoch > 0)::int as claimed from message
       where state = 'ready' and due_at = '2026-03-04T11:00:00Z' and state_reason is not null`,
    );
    expect(rows).toMatchObject({ putBack: 59, claimed: expect.any(Number) });
    expect(rows.claimed).toBeLessThan(10);
  });

  it('let nobody’s mail go where one had the hours of a clock that this machine does not know', async () => {
    const { db } = desk.t;
    await desk.people(2);
    await broadcast('12:00');
    await at('03T11:00');
    // As one with a newer list of time zones has written it.
    await db.query(
      `with newer as (insert into send_hours (spans, time_zone) select spans, 'Europe/Springfield' from send_hours limit 1 returning id)
       update message set send_hours_id = (select id from newer) where address = 'p1@example.com'`,
    );
    expect(await at('03T12:00')).toEqual(['p1@example.com', 'p2@example.com']);
  });

  it.each<[string, Parameters<typeof keptUntil>[1]]>([
    ['which those past it get at once', { ifPassed: 'send' }],
    ['behind which nobody is to get it', { ifPassed: 'skip' }],
    [
      'of the arms of its test',
      { split: { ...SPLIT, testPercent: 90, arms: [{ at: '12:00' }, { at: '13:00' }] } },
    ],
  ])(
    'went at 02:00 in the night with an hour %s, when a relay was out for the evening: it goes in the morning',
    async (_, given) => {
      expect(await keptUntil('04T01:00', given)).toEqual([]);
      expect(await at('04T06:59')).toEqual([]);
      expect(await at('04T07:00')).toEqual(['berlin@example.com']);
    },
  );

  it('goes at once to whom its owner wants it at once, also where it is night', async () => {
    await berliner();
    await desk.t.subscriber('tokyo@example.com', { timeZone: 'Asia/Tokyo' });
    await at('03T16:00');
    // In Berlin it is 17:00, in Tokyo 01:00 of the next day.
    await broadcast('12:00', { ifPassed: 'send' });
    expect(await at('03T16:01')).toEqual(['berlin@example.com', 'tokyo@example.com']);
  });

  it('went at 02:00 in the night when its owner sent then what an outage had made late', async () => {
    const { app, db, clock } = desk.t;
    await app.get(OverdueService, { strict: false }).setSettings({ policy: 'ask', afterHours: 24 });
    await berliner();
    await broadcast('12:00');
    await at('03T08:00');
    await at('06T01:00');
    expect(await db.query('select state, state_reason as reason from message')).toEqual([
      { state: 'held', reason: OVERDUE },
    ]);
    clock.set('2026-03-06T01:00:00Z');
    expect(await app.get(HeldService, { strict: false }).release({})).toBe(1);
    expect(await at('06T01:00')).toEqual([]);
    expect(await at('06T11:00')).toHaveLength(1);
  });

  /** Of the mails of each arm, when they have gone or are due. */
  const timesOfArms = async (): Promise<unknown> =>
    desk.t.db.query(
      `select distinct arm, state, to_char(coalesce(accepted_at, due_at) at time zone 'UTC', 'DD"T"HH24:MI') as at
       from message where arm is not null order by 1`,
    );

  it('went at 02:00 in the night with the arms of its split test when a pause ended then', async () => {
    await desk.people(20);
    const split = { ...SPLIT, arms: [{}, { delayMinutes: 90 }] };
    const id = await broadcast('12:00', { split });
    await at('03T11:00');
    await desk.broadcasts.pause(id);
    await at('03T14:00');
    desk.t.clock.set('2026-03-04T02:00:00Z');
    await desk.broadcasts.resume(id);
    expect(await at('04T02:00')).toEqual([]);
    expect(await timesOfArms()).toEqual([
      { arm: 0, state: 'ready', at: '04T12:00' },
      { arm: 1, state: 'ready', at: '04T13:30' },
    ]);
    await at('04T12:00');
    await at('04T13:30');
    expect(await timesOfArms()).toMatchObject([{ state: 'accepted' }, { state: 'accepted' }]);
    // The rest is as if it had begun with the decision.
    await at('04T15:31');
    expect(await at('05T11:59')).toHaveLength((await at('04T15:32')).length);
    expect(await at('05T12:00')).toHaveLength(20);
  });

  it('went in the night with its split test where a relay was out for the evening', async () => {
    expect(await keptUntil('04T01:00', { split: { ...SPLIT, testPercent: 90 } })).toEqual([]);
    expect(await at('04T10:59')).toEqual([]);
    expect(await at('04T11:00')).toEqual(['berlin@example.com']);
  });

  const moves = async (id: string, zone: string): Promise<void> => {
    await desk.t.db.query('update subscriber set time_zone = $2 where id = $1', [id, zone]);
    await desk.t.db.transaction(async (manager) =>
      desk.t.app.get(SendHours, { strict: false }).changeZones(manager, [id], desk.t.clock.now()),
    );
  };

  it.each(['nextDay', 'send', 'skip'] as const)(
    'goes at the hour of the clock that its reader has by then: it came at 06:00 to who had moved to New York (%s)',
    async (ifPassed) => {
      const id = await berliner();
      await broadcast('12:00', { ifPassed });
      await at('03T08:00');
      await moves(id, 'America/New_York');
      expect(await at('03T11:00')).toEqual([]);
      expect(await at('03T16:59')).toEqual([]);
      expect(await at('03T17:00')).toHaveLength(1);
    },
  );

  it.each([
    ['in the afternoon', 'nextDay', '03T08:00'],
    ['when their owner wants it at once', 'send', '03T08:00'],
  ] as const)('goes at once to who is past its hour by then, %s', async (_, ifPassed, time) => {
    const id = await berliner();
    await broadcast('12:00', { ifPassed });
    await at(time);
    await moves(id, 'Asia/Tokyo');
    expect(await at(time)).toHaveLength(1);
  });

  it('goes at the hour of its arm by the clock that its reader has by then, a day later where that has passed', async () => {
    const ids = await Promise.all(
      Array.from({ length: 24 }, async (_, nth) =>
        desk.t.subscriber(`r${nth}@example.com`, { timeZone: 'Europe/Berlin' }),
      ),
    );
    await broadcast('12:00', { split: { ...SPLIT, testPercent: 90, arms: [{}, { at: '20:00' }] } });
    await at('03T08:00');
    for (const [nth, id] of ids.entries()) await moves(id, nth % 2 ? 'America/New_York' : 'Asia/Tokyo');
    const rows: { arm: number; zone: string; at: string }[] = await desk.t.db.query(
      `select distinct m.arm, s.time_zone as zone, to_char(m.due_at at time zone s.time_zone, 'DD"T"HH24:MI') as at
       from message m join subscriber s on s.id = m.subscriber_id where m.state = 'ready'`,
    );
    const due = { 'Asia/Tokyo': ['04T12:00', '03T20:00'], 'America/New_York': ['03T12:00', '03T20:00'] };
    for (const { arm, zone, at } of rows)
      expect({ zone, at }).toEqual({ zone, at: due[zone as keyof typeof due][arm] });
    expect(rows.length).toBeGreaterThan(2);
  });
});
