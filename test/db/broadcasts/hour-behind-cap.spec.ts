import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FrequencyCapService } from '../../../src/delivery/pacing/frequency-cap.service.js';
import type { BroadcastDraft } from '../../../src/broadcasts/broadcast.js';
import { FOREVER, openDesk, type Desk } from './desk.js';

describe('a broadcast at an hour whose readers get another mail each morning, with a cap of one a day', () => {
  let desk: Desk;
  beforeAll(async () => {
    desk = await openDesk();
  });
  afterAll(async () => desk.t.close());
  afterEach(async () => {
    await cap(null);
    await desk.clear();
  });

  const cap = async (perDay: number | null): Promise<void> =>
    desk.t.app.get(FrequencyCapService, { strict: false }).set({ perDay, perWeek: null });
  const at = async (time: string): Promise<void> => {
    desk.t.clock.set(`2026-03-${time}:00Z`);
    await desk.planner.run(FOREVER);
    await desk.t.sendDue();
  };
  const morning = async (
    day: number,
    subscriberId: string,
    change: Parameters<Desk['t']['plan']>[1] = {},
  ): Promise<void> => {
    desk.t.clock.set(`2026-03-0${day}T09:00:00Z`);
    await desk.t.plan('reader@example.com', {
      ...{ subscriberId, dedupeKey: `day:${day}`, stepKey: `day-${day}` },
      ...change,
    });
    await at(`0${day}T09:00`);
  };
  const noon = async (change: Partial<BroadcastDraft> = {}): Promise<string> => {
    const { id } = await desk.broadcasts.create(desk.draft(change));
    const local = { atLocal: '2026-03-03T12:00', fallbackZone: 'UTC', ifPassed: 'nextDay' as const };
    await desk.broadcasts.start(id, null, { local, spreadMinutes: 0 });
    return id;
  };
  /** What has gone, in its order. */
  const gone = async (): Promise<string[]> => {
    const rows: { name: string }[] = await desk.t.db.query(
      `select coalesce(step_key, kind) || ' ' || to_char(accepted_at at time zone 'UTC', 'DD HH24:MI') as name
       from message where state = 'accepted' order by date_trunc('minute', accepted_at), id`,
    );
    return rows.map(({ name }) => name);
  };
  const days = async (change: Partial<BroadcastDraft> = {}, other = {}): Promise<string[]> => {
    await cap(1);
    const id = await desk.t.subscriber('reader@example.com');
    await noon(change);
    for (let day = 3; day <= 6; day++) {
      await morning(day, id, other);
      for (const hour of ['12', '18', '23']) await at(`0${day}T${hour}:00`);
    }
    return gone();
  };

  it('waited as long as those came: it had its turn at noon, and each had taken the day before', async () => {
    expect(await days()).toEqual([
      'day-3 03 09:00',
      'broadcast 04 12:00',
      'day-4 05 12:00',
      'day-5 06 12:00',
    ]);
  });

  it('waits as long as those come that its owner wants to go before it', async () => {
    expect(await days({}, { priority: 4 })).toEqual([
      'day-3 03 09:00',
      'day-4 04 09:00',
      'day-5 05 09:00',
      'day-6 06 09:00',
    ]);
  });

  it('lets those go that leave it its place: two a day', async () => {
    await cap(2);
    const id = await desk.t.subscriber('reader@example.com');
    await noon();
    await morning(3, id);
    await morning(3, id, { dedupeKey: 'second', stepKey: 'second' });
    await at('03T12:00');
    await morning(4, id);
    await at('04T12:00');
    expect(await gone()).toEqual([
      'day-3 03 09:00',
      'second 03 09:00',
      'day-4 04 09:00',
      'broadcast 04 12:00',
    ]);
  });

  it('goes at another hour rather than never, a day behind the other mail', async () => {
    expect((await days({ expiresAt: new Date('2026-03-04T11:00:00Z') })).slice(0, 2)).toEqual([
      'day-3 03 09:00',
      'broadcast 04 09:00',
    ]);
  });

  it('says of a mail that waits for it why that does', async () => {
    await cap(1);
    const id = await desk.t.subscriber('reader@example.com');
    await noon();
    await morning(3, id);
    await at('03T12:00');
    await morning(4, id);
    const rows = await desk.t.db.query(
      `select kind, state_reason as reason, due_at as "dueAt" from message where state = 'ready' order by due_at`,
    );
    expect(rows).toEqual([
      { kind: 'broadcast', reason: 'frequency cap: 1 a day', dueAt: new Date('2026-03-04T12:00:00Z') },
      { kind: 'sequence', reason: 'frequency cap: 1 a day', dueAt: new Date('2026-03-05T12:00:00Z') },
    ]);
  });

  it('has its turn as well where it is of a sequence with hours from noon to two', async () => {
    await cap(1);
    const id = await desk.t.subscriber('reader@example.com');
    await morning(3, id);
    desk.t.clock.set('2026-03-03T12:00:00Z');
    await desk.t.plan('reader@example.com', { subscriberId: id, dedupeKey: 'noon', stepKey: 'noon' });
    await desk.t.db.query(
      `with hours as (insert into send_hours (spans, time_zone) select jsonb_agg(
           jsonb_build_object('start', day * 1440 + 720, 'end', day * 1440 + 840) order by day), 'UTC' from generate_series(0, 6) day
         on conflict (spans, time_zone) do update set time_zone = 'UTC' returning id)
       update message set send_hours_id = (select id from hours) where step_key = 'noon'`,
    );
    await at('03T12:00');
    for (const day of [4, 5]) {
      await morning(day, id);
      await at(`0${day}T12:00`);
    }
    expect(await gone()).toEqual(['day-3 03 09:00', 'noon 04 12:00', 'day-4 05 12:00']);
  });
});
