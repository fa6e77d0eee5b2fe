import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FrequencyCapService } from '../../../src/delivery/pacing/frequency-cap.service.js';
import { PacingService } from '../../../src/delivery/pacing/pacing.service.js';
import { SendingSettingsService } from '../../../src/delivery/pacing/sending-settings.service.js';
import { sendingSettings } from '../../../src/delivery/pacing/sending.schemas.js';
import { SendHours } from '../../../src/delivery/waiting/send-hours.service.js';
import { FOREVER, openDesk, type Desk } from './desk.js';

describe('what a night has kept of a broadcast at an hour', () => {
  let desk: Desk;
  beforeAll(async () => {
    desk = await openDesk();
  });
  afterAll(async () => desk.t.close());
  afterEach(async () => {
    await cap(null);
    await desk.clear();
    await pace({});
  });

  const get = <T>(type: new (...args: never[]) => T): T => desk.t.app.get(type, { strict: false });
  const cap = async (perDay: number | null): Promise<void> =>
    get(FrequencyCapService).set({ perDay, perWeek: null });
  const pace = async (global: object): Promise<void> => {
    await get(SendingSettingsService).replace(sendingSettings.parse({ global }));
    get(PacingService).forgetCache();
  };
  const at = async (time: string, workers = 1): Promise<string[]> => {
    desk.t.clock.set(`2026-${time}:00Z`);
    await desk.planner.run(FOREVER);
    await Promise.all(Array.from({ length: workers }, async () => desk.t.sendDue()));
    return desk.taken();
  };
  const broadcast = async (people: number, atLocal: string): Promise<void> => {
    await desk.people(people);
    await desk.t.db.query(`update subscriber set time_zone = 'Europe/Berlin'`);
    const { id } = await desk.broadcasts.create(desk.draft());
    const local = { atLocal: `2026-${atLocal}`, fallbackZone: 'UTC', ifPassed: 'nextDay' as const };
    await desk.broadcasts.start(id, null, { local, spreadMinutes: 0 });
  };

  it.each([
    ['in spring', '03-28T20:00', '03-28T12:00', '03-28T23:30', '03-29T18:00'],
    ['in autumn', '10-24T20:00', '10-24T12:00', '10-24T21:30', '10-25T19:00'],
    [
      'in spring, at an hour that is skipped then',
      '03-28T02:30',
      '03-27T20:00',
      '03-28T22:00',
      '03-29T01:00',
    ],
    [
      'in autumn, at an hour that comes twice then',
      '10-24T02:30',
      '10-23T20:00',
      '10-24T22:00',
      '10-25T00:30',
    ],
  ])(
    'goes at the hour of the day on which the clocks are changed, %s',
    async (_, atLocal, planned, night, then) => {
      await broadcast(1, atLocal);
      desk.t.clock.set(`2026-${planned}:00Z`);
      await desk.planner.run(FOREVER);
      expect(await at(night)).toEqual([]);
      const [row] = await desk.t.db.query(`select due_at as "dueAt", state_reason as reason from message`);
      expect(row).toEqual({ dueAt: new Date(`2026-${then}:00Z`), reason: 'outside the send window' });
      expect(await at(then)).toHaveLength(1);
    },
  );

  it('is put aside once, and goes once, where three workers look for it at the same time', async () => {
    await broadcast(300, '03-03T12:00');
    desk.t.clock.set('2026-03-03T08:00:00Z');
    await desk.planner.run(FOREVER);
    await pace({ perSecond: 20, burst: 20 });
    expect(await at('03-03T23:30', 3)).toEqual([]);
    const rows = await desk.t.db.query(
      `select state, attempt, due_at as "dueAt", count(*)::int as count from message group by 1, 2, 3`,
    );
    expect(rows).toEqual([
      { state: 'ready', attempt: 0, dueAt: new Date('2026-03-04T11:00:00Z'), count: 300 },
    ]);
    await pace({});
    const taken = await at('03-04T11:00', 3);
    expect([taken.length, new Set(taken).size]).toEqual([300, 300]);
  });

  it('goes at noon of the new clock to who moves while the frequency cap keeps it', async () => {
    await cap(1);
    await broadcast(1, '03-03T12:00');
    await at('03-02T23:00');
    const [{ id }] = await desk.t.db.query('select id from subscriber');
    desk.t.clock.set('2026-03-03T10:00:00Z');
    await desk.t.plan('p1@example.com', { subscriberId: id });
    await at('03-03T10:00');
    expect(await at('03-03T11:00')).toHaveLength(1);
    await desk.t.db.query(`update subscriber set time_zone = 'America/New_York'`);
    await desk.t.db.transaction(async (manager) =>
      get(SendHours).changeZones(manager, [id], desk.t.clock.now()),
    );
    // In Berlin it is noon, in New York six.
    expect(await at('03-04T11:00')).toHaveLength(1);
    expect(await at('03-04T16:59')).toHaveLength(1);
    expect(await at('03-04T17:00')).toHaveLength(2);
  });

  it('kept everybody’s changes of clocks where the fallback is one that this machine does not know: it goes by UTC', async () => {
    await broadcast(1, '03-03T12:00');
    await at('03-02T23:00');
    // As one with a newer list of time zones has written it.
    await desk.t.db.query(
      `update broadcast set timing = jsonb_set(timing, '{local,fallbackZone}', '"Europe/Springfield"')`,
    );
    const [{ id }] = await desk.t.db
      .query('update subscriber set time_zone = null returning id')
      .then(([rows]) => rows);
    await desk.t.db.transaction(async (manager) =>
      get(SendHours).changeZones(manager, [id], desk.t.clock.now()),
    );
    expect(await at('03-03T11:59')).toEqual([]);
    expect(await at('03-03T12:00')).toHaveLength(1);
  });
});
