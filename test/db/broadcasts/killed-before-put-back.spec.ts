import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FrequencyCapService } from '../../../src/delivery/pacing/frequency-cap.service.js';
import { WorkerPresence } from '../../../src/delivery/ledger/worker-presence.service.js';
import { DueMessages } from '../../../src/delivery/sending/due-messages.service.js';
import { Reaper } from '../../../src/delivery/sending/reaper.service.js';
import { becomesTrue } from '../../../src/infra/database/postmaster.js';
import { DatabaseProxy } from '../../fault/database-proxy.js';
import { openPostOffice, type PostOffice } from '../delivery/post-office.js';
import { FOREVER, openDesk, type Desk } from './desk.js';

describe('a worker that is killed between its claim of mails whose hours are over and their putting back', () => {
  let desk: Desk;
  let gone: PostOffice;
  let proxy: DatabaseProxy;
  beforeEach(async () => {
    desk = await openDesk();
    gone = await openPostOffice({}, undefined, async () => {
      const url = new URL(desk.t.config.databaseUrl);
      const { hostname: host, port } = url;
      proxy = new DatabaseProxy(() => ({ host, port: Number(port) }), Math.random);
      await proxy.listen();
      url.port = String(proxy.address.port);
      return url.href;
    });
  });
  afterEach(async () => {
    proxy.open();
    await gone.close();
    await desk.t.close();
    await proxy.close();
  });

  const of = <T>(one: PostOffice, type: new (...args: never[]) => T): T =>
    one.app.get(type, { strict: false });
  const at = async (time: string): Promise<string[]> => {
    desk.t.clock.set(`2026-03-${time}:00Z`);
    await desk.planner.run(FOREVER);
    await desk.t.sendDue();
    return desk.taken();
  };
  const workers = async (): Promise<number> => {
    const rows: { count: number }[] = await desk.t.db.query(
      `select count(*)::int as count from pg_stat_activity where application_name = 'wellspring presence' and datname = current_database()`,
    );
    return rows[0]?.count ?? 0;
  };
  const states = async (): Promise<unknown> =>
    desk.t.db.query(
      `select state, attempt, due_at as "dueAt", count(*)::int as count from message group by 1, 2, 3 order by 3`,
    );
  /** All that it holds ends with it, and no answer reaches it any more. */
  const killedAt = async (statement: string, time: string): Promise<void> => {
    await desk.people(10);
    const { id } = await desk.broadcasts.create(desk.draft());
    const local = { atLocal: '2026-03-03T12:00', fallbackZone: 'UTC', ifPassed: 'nextDay' as const };
    await desk.broadcasts.start(id, null, { local, spreadMinutes: 0 });
    desk.t.clock.set('2026-03-03T08:00:00Z');
    await desk.planner.run(FOREVER);
    for (const clock of [desk.t.clock, gone.clock]) clock.set(`2026-03-${time}:00Z`);
    const name = await of(gone, WorkerPresence).name();
    const before = await workers();
    proxy.statementFault = { statement, moment: 'committed', hit: 1, atEnd: false, act: () => proxy.shut() };
    await expect(of(gone, DueMessages).claim(name, 5)).rejects.toThrow();
    expect(await becomesTrue(async () => (await workers()) < before, 25_000)).toBe(true);
  };

  it.each([
    ['before their hours were known', 'from send_hours where id = any', 10],
    ['when the others had been put back', 'ledger-put-others-back', 5],
  ])(
    '%s: none goes in the night, each goes at the next hour, and has lost no try',
    async (_, statement, left) => {
      await killedAt(statement, '03T23:30');
      expect(await states()).toMatchObject(
        left === 10
          ? [
              { state: 'ready', count: 5 },
              { state: 'leased', count: 5 },
            ].toSorted((a, b) => a.state.localeCompare(b.state))
          : [
              { state: 'leased', count: 5 },
              { state: 'ready', count: 5 },
            ],
      );
      await of(desk.t, Reaper).run();
      expect(await at('03T23:31')).toEqual([]);
      expect(await states()).toEqual([
        { state: 'ready', attempt: 0, dueAt: new Date('2026-03-04T12:00:00Z'), count: 10 },
      ]);
      expect(await at('04T11:59')).toEqual([]);
      expect(await at('04T12:00')).toHaveLength(10);
      expect(await states()).toMatchObject([{ state: 'accepted', attempt: 1, count: 10 }]);
    },
  );

  it('leaves nothing behind with a frequency cap: the claim has not been made', async () => {
    await of(desk.t, FrequencyCapService).set({ perDay: 1, perWeek: null });
    await killedAt('ledger-put-back', '03T23:30');
    expect(await states()).toEqual([
      { state: 'ready', attempt: 0, dueAt: new Date('2026-03-03T12:00:00Z'), count: 10 },
    ]);
    expect(await at('03T23:31')).toEqual([]);
    expect(await at('04T12:00')).toHaveLength(10);
  });
});
