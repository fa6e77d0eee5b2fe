import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Split } from '../../../src/broadcasts/split.js';
import type { PostOffice } from '../delivery/post-office.js';
import { FOREVER, openDesk, SPLIT, type Desk } from './desk.js';

const MINUTE_MS = 60_000;

describe('an arm that was stopped sends no more of its mails', () => {
  let desk: Desk;
  let t: PostOffice;
  beforeAll(async () => {
    desk = await openDesk();
    t = desk.t;
  });
  afterAll(async () => t.close());
  afterEach(async () => desk.clear());

  const RAILS: Split = { ...SPLIT, testPercent: 90, waitMinutes: 60, guardRails: { unsubscribes: '2%' } };
  const plan = async (): Promise<void> => desk.planner.run(FOREVER);
  const started = async (spreadMinutes: number): Promise<string> => {
    await desk.people(200);
    const { id } = await desk.broadcasts.create(desk.draft({ split: RAILS }));
    await desk.broadcasts.start(id, null, { local: null, spreadMinutes });
    await plan();
    return id;
  };
  const ofArmB = (): number => t.sink.mails.filter(({ parsed }) => parsed.subject?.includes('Arm B')).length;

  it('when the test is judged, and a relay has put some off until then', async () => {
    const id = await started(0);
    await t.db.query(
      `update message set attempt = 1, due_at = due_at + interval '3 hours'
       where id in (select id from message where arm = 1 order by id limit 10)`,
    );
    await t.sendDue();
    await plan();
    await desk.leave(1, 20);
    t.clock.advance(60 * MINUTE_MS);
    await plan();
    expect(await desk.broadcasts.get(id)).toMatchObject({
      ...{ stoppedArms: [{ arm: 1 }], decision: { because: 'guard_rails', arm: 0 } },
    });
    t.sink.mails.length = 0;
    await plan();
    t.clock.advance(180 * MINUTE_MS);
    await desk.settle(id);
    expect([t.sink.mails.length > 10, ofArmB()]).toEqual([true, 0]);
  });

  it('and when those were planned for another time is not forgotten, on a clock finer than ours', async () => {
    await started(100);
    await t.db.query(
      `update message set planned_for = due_at - interval '1 minute', due_at = due_at + interval '7 microseconds'`,
    );
    t.clock.advance(50 * MINUTE_MS);
    await t.sendDue();
    await desk.leave(1, 20);
    await plan();
    const given: { n: number; planned: number }[] = await t.db.query(
      `select count(*)::int as n, count(planned_for)::int as planned from message where arm < 0`,
    );
    expect(given[0]?.n).toBeGreaterThan(20);
    expect(given[0]?.planned).toBe(given[0]?.n);
  });

  it('once for all, when two workers judge it at the same time: it is told once, and no mail is given twice', async () => {
    const id = await started(100);
    t.clock.advance(50 * MINUTE_MS);
    await t.sendDue();
    await desk.leave(1, 20);
    await Promise.all([plan(), plan(), plan()]);
    expect((await desk.broadcasts.get(id)).stoppedArms).toMatchObject([{ arm: 1 }]);
    expect(await t.db.query(`select key from alert`)).toEqual([{ key: `broadcast:arm:${id}:1` }]);
    t.sink.mails.length = 0;
    t.clock.advance(120 * MINUTE_MS);
    await t.sendDue();
    await plan();
    expect([t.sink.mails.length > 20, ofArmB()]).toEqual([true, 0]);
    expect(new Set(desk.taken()).size).toBe(t.sink.mails.length);
  });

  it('when it has done harm in a pause, and a worker is quicker than the next look', async () => {
    const id = await started(100);
    t.clock.advance(50 * MINUTE_MS);
    await t.sendDue();
    await desk.broadcasts.pause(id);
    await desk.leave(1, 20);
    t.clock.advance(20 * MINUTE_MS);
    await t.sendDue();
    await desk.broadcasts.resume(id);
    t.sink.mails.length = 0;
    // The run ends as soon as it has written something, and what it has let go is sent.
    const { signal } = new AbortController();
    let asked = 0;
    Object.defineProperty(signal, 'aborted', { get: () => ++asked > 2 });
    await desk.planner.run({ deadline: Infinity, signal });
    await t.sendDue();
    await plan();
    await t.sendDue();
    expect((await desk.broadcasts.get(id)).stoppedArms).toMatchObject([{ arm: 1 }]);
    t.clock.advance(60 * MINUTE_MS);
    await t.sendDue();
    expect([t.sink.mails.length > 20, ofArmB()]).toEqual([true, 0]);
  });
});
