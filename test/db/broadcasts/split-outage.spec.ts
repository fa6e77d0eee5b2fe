import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { BroadcastReport } from '../../../src/broadcasts/broadcast.js';
import { RelaysService } from '../../../src/delivery/relays/relays.service.js';
import { HeldService } from '../../../src/delivery/waiting/held.service.js';
import { OverdueService } from '../../../src/delivery/waiting/overdue.service.js';
import type { PostOffice } from '../delivery/post-office.js';
import { empty } from '../../support/database.js';
import { FOREVER, openDesk, SPLIT, type Desk } from './desk.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const PEOPLE = 20;

describe('a split test of a broadcast in an outage', () => {
  let desk: Desk;
  let t: PostOffice;
  beforeAll(async () => {
    desk = await openDesk();
    t = desk.t;
  });
  afterAll(async () => t.close());
  afterEach(async () => {
    t.sink.onConnect = async () => undefined;
    t.sink.onSender = async () => undefined;
    await relaysTriedAgain();
    await desk.clear();
  });

  const get = async (id: string): Promise<BroadcastReport> => desk.broadcasts.get(id);
  const plan = async (): Promise<void> => desk.planner.run(FOREVER);
  const policy = async (of: 'ask' | 'skip'): Promise<void> =>
    t.app.get(OverdueService, { strict: false }).setSettings({ policy: of, afterHours: 2 });
  const held = (): HeldService => t.app.get(HeldService, { strict: false });
  /** Their pauses count by the database's clock, and are remembered for half a second. */
  const relaysTriedAgain = async (): Promise<void> => {
    await empty(t.db, 'relay_state, send_bucket');
    await t.app.get(RelaysService, { strict: false }).view();
  };
  /** Looks every ten minutes. */
  const pass = async (hours: number): Promise<void> => {
    for (let step = 0; step < hours * 6; step++) {
      t.clock.advance(10 * MINUTE_MS);
      await relaysTriedAgain();
      await t.sendDue();
      await plan();
      await plan();
    }
  };
  /** Planned; the worker ran until then. */
  const planned = async (spreadMinutes = 0): Promise<string> => {
    await desk.people(PEOPLE);
    await t.sendDue();
    const { id } = await desk.broadcasts.create(desk.draft({ split: SPLIT }));
    await desk.broadcasts.start(id, null, { local: null, spreadMinutes });
    await plan();
    return id;
  };
  const silent = async (hours: number): Promise<void> => {
    t.clock.advance(hours * HOUR_MS);
    await t.sendDue();
    await plan();
    await plan();
  };

  it('sent the rest without the owner’s word when the mails of the test were held as overdue', async () => {
    await policy('ask');
    const id = await planned();
    await silent(5);
    await pass(4);
    expect(desk.taken()).toEqual([]);
    expect(await get(id)).toMatchObject({ state: 'running', decision: null, counts: { held: PEOPLE } });

    await held().release({ broadcastId: id });
    await t.sendDue();
    await plan();
    const tried = desk.taken().length;
    expect(tried).toBeLessThan(PEOPLE);
    expect((await get(id)).decideAt).toEqual(
      new Date(t.clock.now().getTime() + SPLIT.waitMinutes * MINUTE_MS),
    );
    await pass(2.5);
    expect(desk.taken()).toHaveLength(PEOPLE);
  });

  it('asks about the rest when the owner has cancelled those of the test, and sends it at their word', async () => {
    await policy('ask');
    const id = await planned();
    await silent(3);
    await held().cancel({ broadcastId: id });
    await pass(3);
    expect(desk.taken()).toEqual([]);
    expect(await get(id)).toMatchObject({ state: 'paused', stateReason: expect.stringMatching(/^overdue/) });
    await desk.broadcasts.resume(id);
    await desk.settle(id);
    expect(await get(id)).toMatchObject({ state: 'done', decision: { verdict: 'no_winner' } });
  });

  it.each([3, 5])(
    'sent the rest though the policy is to skip what %d hours of it have made late',
    async (hours) => {
      await policy('skip');
      const id = await planned();
      await silent(hours);
      await pass(4);
      expect(desk.taken()).toEqual([]);
      expect(await get(id)).toMatchObject({ state: 'cancelled', complete: true });
    },
  );

  it('asks about the rest, too, when some of the test had gone before it', async () => {
    await policy('ask');
    const id = await planned(60);
    t.clock.advance(30 * MINUTE_MS);
    await t.sendDue();
    const before = desk.taken();
    expect(before.length).toBeGreaterThan(0);
    await silent(6);
    await pass(4);
    expect(desk.taken()).toEqual(before);
    expect(await get(id)).toMatchObject({ state: 'paused', stateReason: expect.stringMatching(/^overdue/) });
  });

  it.each([
    ['its connections are dropped', 'onConnect', 'drop'],
    ['it is asked to come back later', 'onSender', { code: 451, text: '4.7.0 rate limited' }],
  ] as const)('was decided with nothing sent while the relay is out: %s', async (_, at, answer) => {
    const id = await planned();
    t.sink[at] = async () => answer;
    await t.sendDue();
    await plan();
    await pass(3);
    expect(desk.taken()).toEqual([]);
    expect(await get(id)).toMatchObject({ state: 'running', decision: null, decideAt: null });
    t.sink[at] = async () => undefined;
    for (let look = 0; look < 24 && desk.taken().length === 0; look++) await pass(1 / 6);
    const tried = desk.taken().length;
    expect(tried).toBeGreaterThan(0);
    expect(tried).toBeLessThan(PEOPLE);
    await pass(4);
    expect(desk.taken()).toHaveLength(PEOPLE);
  });
});
