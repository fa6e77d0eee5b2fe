import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { GenerationGuard } from '../../../src/delivery/generation/generation-guard.service.js';
import type { OverduePolicy } from '../../../src/delivery/message/overdue.js';
import { OverdueService } from '../../../src/delivery/waiting/overdue.service.js';
import { OPENED_AT, type PostOffice } from '../delivery/post-office.js';
import { FOREVER, openDesk, type Desk } from './desk.js';

const HOUR_MS = 3_600_000;
const THREE = ['p1@example.com', 'p2@example.com', 'p3@example.com'];

describe('a broadcast that stood paused while nothing ran for two days', () => {
  let desk: Desk;
  let t: PostOffice;
  beforeAll(async () => {
    desk = await openDesk({ DEMO: 'false' });
    t = desk.t;
  });
  afterAll(async () => t.close());
  afterEach(async () => {
    await desk.clear();
    await t.db.query(`delete from setting where key = 'ledger.generation'`);
  });

  const overdue = (): OverdueService => t.app.get(OverdueService, { strict: false });
  const hours = (count: number): void => t.clock.set(new Date(OPENED_AT.getTime() + count * HOUR_MS));
  /** Its three mails were due at hour 0, and the owner paused it before they went. Workers are there until hour 2. */
  const paused = async (policy: OverduePolicy): Promise<string> => {
    await overdue().setSettings({ policy, afterHours: 24 });
    expect(await t.sendDue()).toBe(0);
    await desk.people(3);
    const id = await desk.started();
    await desk.planner.run(FOREVER);
    hours(1);
    await desk.broadcasts.pause(id);
    return id;
  };
  /** Away from hour 2 to hour 50. */
  const outage = async (): Promise<void> => {
    hours(2);
    await t.sendDue();
    hours(50);
    await t.sendDue();
  };
  const states = async (): Promise<unknown> =>
    t.db.query(
      `select state, state_reason as reason, count(*)::int from message group by 1, 2 order by 1, 2`,
    );

  it.each(['ask', 'skip'] as const)('goes on when the owner says so (%s)', async (policy) => {
    const id = await paused(policy);
    await outage();
    expect(await states()).toEqual([{ state: 'held', reason: 'broadcast paused', count: 3 }]);
    hours(60);
    await desk.broadcasts.resume(id);
    await desk.settle(id);
    expect(await states()).toEqual([{ state: 'accepted', reason: null, count: 3 }]);
    expect(desk.taken()).toEqual(THREE);
  });

  it.each(['ask', 'skip'] as const)(
    'goes on with those, too, that no worker had come to before (%s)',
    async (policy) => {
      const id = await paused(policy);
      await outage();
      // As a quota of the day leaves them.
      await t.db.query(`update message set state = 'ready', state_reason = null`);
      hours(60);
      await desk.broadcasts.resume(id);
      await desk.settle(id);
      expect(desk.taken()).toEqual(THREE);
    },
  );

  it('goes on with the mails that are written only then', async () => {
    await overdue().setSettings({ policy: 'skip', afterHours: 24 });
    expect(await t.sendDue()).toBe(0);
    await desk.people(3);
    const id = await desk.started();
    await t.db.query(
      `update broadcast set state = 'paused', started_at = $2, segments = '{}',
      audience_last_id = (select max(id) from subscriber) where id = $1`,
      [id, t.clock.now()],
    );
    await outage();
    hours(60);
    await desk.broadcasts.resume(id);
    await desk.settle(id);
    expect(desk.taken()).toEqual(THREE);
  });

  it('is asked about again when another outage comes after the owner’s word', async () => {
    const id = await paused('ask');
    await outage();
    hours(60);
    await desk.broadcasts.resume(id);
    await desk.planner.run(FOREVER);
    hours(120);
    await t.sendDue();
    expect(await states()).toEqual([{ state: 'held', reason: 'overdue after an outage', count: 3 }]);
  });

  it('sends nothing of a restored backup: going on with it is no word about that', async () => {
    const id = await paused('ask');
    await outage();
    await t.db.query(
      `update setting set value = jsonb_set(value, '{counter}', '0') where key = 'ledger.generation'`,
    );
    hours(60);
    await desk.broadcasts.resume(id);
    await desk.planner.run(FOREVER);
    expect(await t.sendDue()).toBe(0);
    hours(61);
    expect(await t.app.get(GenerationGuard, { strict: false }).confirm('hold')).toMatchObject({ held: 3 });
    overdue().forgetCache();
    await desk.settle(id);
    expect(await states()).toEqual([{ state: 'held', reason: 'restored backup', count: 3 }]);
  });
});
