import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { PacingService } from '../../../src/delivery/pacing/pacing.service.js';
import { SendingSettingsService } from '../../../src/delivery/pacing/sending-settings.service.js';
import { sendingSettings } from '../../../src/delivery/pacing/sending.schemas.js';
import type { BroadcastDraft } from '../../../src/broadcasts/broadcast.js';
import type { IfPassed } from '../../../src/broadcasts/timing.js';
import { FOREVER, openDesk, SPLIT, type Desk } from './desk.js';

interface Given extends Partial<BroadcastDraft> {
  ifPassed?: IfPassed;
  spreadMinutes?: number;
}

describe('mails of a broadcast whose hours are over', () => {
  let desk: Desk;
  beforeAll(async () => {
    desk = await openDesk();
  });
  afterAll(async () => desk.t.close());
  afterEach(async () => {
    await desk.clear();
    await pace({});
  });

  const pace = async (global: object): Promise<void> => {
    await desk.t.app
      .get(SendingSettingsService, { strict: false })
      .replace(sendingSettings.parse({ global }));
    desk.t.app.get(PacingService, { strict: false }).forgetCache();
  };
  const plannedAt = async (time: string): Promise<void> => {
    desk.t.clock.set(`2026-03-${time}Z`);
    await desk.planner.run(FOREVER);
  };
  const broadcast = async (
    hour: string,
    { ifPassed = 'nextDay', spreadMinutes = 0, ...change }: Given = {},
  ): Promise<void> => {
    await desk.people(60);
    await desk.t.db.query(`update subscriber set time_zone = 'Europe/Berlin'`);
    const { id } = await desk.broadcasts.create(desk.draft(change));
    const local = { atLocal: `2026-03-03T${hour}`, fallbackZone: 'UTC', ifPassed };
    await desk.broadcasts.start(id, null, { local, spreadMinutes });
    await plannedAt('03T08:00:00');
  };
  /** At a pace of five at a time, with the mail of somebody else behind them. */
  const sentAtNight = async (time: string): Promise<void> => {
    desk.t.sink.mails.length = 0;
    await pace({ perSecond: 5, burst: 5 });
    desk.t.clock.set(`2026-03-${time}Z`);
    await desk.t.plan('other@example.net', { dueAt: desk.t.clock.now() });
    await desk.t.sendDue();
    expect(desk.taken()).toEqual(['other@example.net']);
  };
  const waiting = async (): Promise<{ claimed: number; dueAt: Date[] }> => {
    const rows: { dueAt: Date; claimed: boolean }[] = await desk.t.db.query(
      `select due_at as "dueAt", lease_epoch > 0 as claimed from message
       where state = 'ready' and state_reason = 'outside the send window' order by 1`,
    );
    return { claimed: rows.filter(({ claimed }) => claimed).length, dueAt: rows.map(({ dueAt }) => dueAt) };
  };

  it('stood in front of everybody’s mails where they waited for a split test that was judged at night, claimed a few at a time', async () => {
    await broadcast('21:00', { ifPassed: 'send', split: { ...SPLIT, waitMinutes: 240 } });
    await plannedAt('03T20:00:00');
    await desk.t.sendDue();
    const { length: tested } = desk.taken();
    await plannedAt('03T20:00:00');
    // Judged in the seconds behind its time, as the planner looks.
    await plannedAt('04T00:00:20');
    await plannedAt('04T00:00:20');
    await sentAtNight('04T00:00:30');
    const { claimed, dueAt } = await waiting();
    expect(dueAt).toEqual(Array.from({ length: 60 - tested }, () => new Date('2026-03-04T07:00:00Z')));
    expect(claimed).toBeLessThan(10);
  });

  it('stood in front of everybody’s mails, too, where the frequency cap was raised at night', async () => {
    await broadcast('12:00');
    await desk.t.db.query(
      `update message set state_reason = 'frequency cap: 1 a day', due_at = '2026-03-03T23:29:00Z'`,
    );
    await sentAtNight('03T23:30:00');
    const { claimed, dueAt } = await waiting();
    expect(dueAt).toHaveLength(60);
    expect(claimed).toBeLessThan(10);
  });

  it.each<[string, Given, string, string]>([
    ['which has its hour on a later day', {}, '2026-03-04T11:00:00Z', '2026-03-04T13:00:00Z'],
    ['in the morning', { ifPassed: 'send' }, '2026-03-04T07:00:00Z', '2026-03-04T09:00:00Z'],
    [
      'before it ends',
      { expiresAt: new Date('2026-03-04T12:05:00Z') },
      '2026-03-04T11:00:00Z',
      '2026-03-04T12:00:00Z',
    ],
  ])(
    'went all in one minute of the next day, spread over two hours as they were: %s',
    async (_, given, from, to) => {
      await broadcast('12:00', { spreadMinutes: 120, ...given });
      await sentAtNight('03T23:30:00');
      const { dueAt } = await waiting();
      expect(dueAt).toHaveLength(60);
      const [begin, end] = [Date.parse(from), Date.parse(to)];
      const quarter = (end - begin) / 4;
      for (let nth = 0; nth < 4; nth++) {
        const within = dueAt.filter(
          (at) => at.getTime() >= begin + nth * quarter && at.getTime() <= begin + (nth + 1) * quarter,
        );
        expect(within.length).toBeGreaterThan(given.expiresAt ? 4 : 10);
      }
      expect(Math.max(...dueAt.map((at) => at.getTime()))).toBeLessThanOrEqual(end);
      desk.t.clock.set(to);
      await pace({});
      await desk.t.sendDue();
      expect(desk.taken()).toHaveLength(61);
    },
  );

  it('went at 02:00 in the night where nothing ran in the evening, and those past the hour get it at once: it goes in the morning', async () => {
    await desk.people(2);
    const { id } = await desk.broadcasts.create(desk.draft());
    const local = { atLocal: '2026-03-03T20:00', timezone: 'Europe/Berlin', fallbackZone: 'UTC' };
    await desk.broadcasts.start(id, null, { local: { ...local, ifPassed: 'send' }, spreadMinutes: 0 });
    const at = async (time: string): Promise<string[]> => {
      await plannedAt(time);
      await desk.t.sendDue();
      return desk.taken();
    };
    expect(await at('04T01:00:00')).toEqual([]);
    expect(await at('04T06:59:00')).toEqual([]);
    expect(await at('04T07:00:00')).toHaveLength(2);
  });
});
