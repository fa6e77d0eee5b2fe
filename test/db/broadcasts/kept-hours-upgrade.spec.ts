import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Split } from '../../../src/broadcasts/split.js';
import type { LocalHour } from '../../../src/broadcasts/timing.js';
import { HoursOfPlanned1766200100000 } from '../../../src/infra/database/migrations/1766200100000-hours-of-planned.js';
import { FOREVER, openDesk, SPLIT, type Desk } from './desk.js';

describe('the upgrade behind which no broadcast at an hour comes at night', () => {
  let desk: Desk;
  beforeAll(async () => {
    desk = await openDesk();
  });
  afterAll(async () => desk.t.close());
  afterEach(async () => desk.clear());

  const planned = async (
    atLocal: string,
    {
      split,
      spreadMinutes = 0,
      ...local
    }: Partial<LocalHour> & { split?: Split; spreadMinutes?: number } = {},
  ): Promise<void> => {
    await desk.people(4);
    for (const [email, zone] of [
      ['p1', 'Europe/Berlin'],
      ['p2', 'America/New_York'],
      ['p3', 'Mars/Olympus'],
    ])
      await desk.t.db.query('update subscriber set time_zone = $2 where email = $1', [
        `${email}@example.com`,
        zone,
      ]);
    const { id } = await desk.broadcasts.create(desk.draft(split === undefined ? {} : { split }));
    const hour = { atLocal, fallbackZone: 'Asia/Tokyo', ifPassed: 'nextDay' as const, ...local };
    await desk.broadcasts.start(id, null, { local: hour, spreadMinutes });
    const { scheduledAt } = await desk.broadcasts.get(id);
    desk.t.clock.set(scheduledAt?.toISOString() ?? '');
    await desk.planner.run(FOREVER);
  };
  const hours = async (): Promise<Record<string, unknown>[]> =>
    desk.t.db.query(
      `select m.address, h.spans, h.time_zone from message m left join send_hours h on h.id = m.send_hours_id order by m.id`,
    );
  const upgraded = async (): Promise<void> => {
    await desk.t.db.query('update message set send_hours_id = null');
    const runner = desk.t.db.createQueryRunner();
    try {
      await new HoursOfPlanned1766200100000().up(runner);
    } finally {
      await runner.release();
    }
  };

  it('sent in the night what was planned before', async () => {
    await planned('2026-03-03T12:00');
    await upgraded();
    const sentAt = async (time: string): Promise<string[]> => {
      desk.t.clock.set(`2026-03-${time}:00Z`);
      await desk.t.sendDue();
      return desk.taken();
    };
    // Nothing was sent before: in Berlin it is 01:00, in Tokyo 09:00 and in New York 19:00.
    expect(await sentAt('04T00:00')).toEqual(['p2@example.com']);
    expect(await sentAt('04T03:00')).toEqual(['p2@example.com', 'p3@example.com', 'p4@example.com']);
    expect(await sentAt('04T11:00')).toHaveLength(4);
  });

  it.each<[string, Parameters<typeof planned>[1]]>([
    ['12:00', {}],
    ['23:00', { ifPassed: 'skip' }],
    ['01:00', {}],
    ['05:30', { ifPassed: 'send' }],
    ['12:00', { spreadMinutes: 660 }],
    ['20:00', { timezone: 'Europe/Vienna' }],
    ['12:00', { split: { ...SPLIT, arms: [{ at: '06:15' }, { at: '23:30' }] } }],
    ['12:00', { split: { ...SPLIT, arms: [{}, { delayMinutes: 2_100 }] } }],
  ])('gives mails of %s the hours that they get now, with %j', async (time, given) => {
    await planned(`2026-03-03T${time}`, given);
    const before = await hours();
    expect(before).toHaveLength(4);
    await upgraded();
    expect(await hours()).toEqual(before);
  });
});
