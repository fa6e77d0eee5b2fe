import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { BroadcastPlanner } from '../../../src/broadcasts/broadcast-planner.service.js';
import type { Audience } from '../../../src/broadcasts/audience.js';
import { BroadcastsQueries } from '../../../src/broadcasts/broadcasts.queries.js';
import type { BroadcastsService } from '../../../src/broadcasts/broadcasts.service.js';
import { OverdueService } from '../../../src/delivery/waiting/overdue.service.js';
import { DEFAULT_LANES } from '../../../src/delivery/relays/relay-choice.js';
import { AlertsService } from '../../../src/infra/alerts/alerts.service.js';
import { SegmentsService } from '../../../src/segments/segments.service.js';
import { SubscribersService } from '../../../src/subscribers/subscribers.service.js';
import type { PostOffice } from '../delivery/post-office.js';
import { FOREVER, openDesk, type Desk } from './desk.js';
import { empty } from '../../support/database.js';

let desk: Desk;
let t: PostOffice;
let broadcasts: BroadcastsService;
let planner: BroadcastPlanner;
beforeAll(async () => {
  desk = await openDesk();
  ({ t, broadcasts, planner } = desk);
});
afterAll(async () => t.close());
afterEach(async () => desk.clear());
const [draft, started, people, tagged, taken, settle] = [
  (change = {}) => desk.draft(change),
  async (change = {}) => desk.started(change),
  async (count: number) => desk.people(count),
  async (email: string, tags: string[]) => desk.tagged(email, tags),
  () => desk.taken(),
  async (id: string) => desk.settle(id),
];

describe('a broadcast', () => {
  it('comes at the local hour of each reader, spread, and says when the last will have it', async () => {
    await t.subscriber('tokyo@example.com', { timeZone: 'Asia/Tokyo' });
    await t.subscriber('vienna@example.com', { timeZone: 'Europe/Vienna' });
    await t.subscriber('nowhere@example.com', { timeZone: 'Mars/Olympus' });
    await t.subscriber('apia@example.com', { timeZone: 'Pacific/Apia' });
    const { id } = await broadcasts.create(draft());
    const timing = {
      // It is 9:00 in Greenwich: past the hour in Apia, where it is 22:00.
      local: { atLocal: '2026-03-02T20:00', fallbackZone: 'America/New_York', ifPassed: 'nextDay' as const },
      spreadMinutes: 10,
    };
    await broadcasts.start(id, null, timing);
    await planner.run(FOREVER);
    const rows: { name: string; due: Date }[] = await t.db.query(
      `select split_part(address, '@', 1) as name, due_at as due from message order by id`,
    );
    const offset = (position: number): number => Math.floor(((position * 0.6180339887498949) % 1) * 600_000);
    const expected = ['2026-03-02T11:00Z', '2026-03-02T19:00Z', '2026-03-03T01:00Z', '2026-03-03T07:00Z'];
    expect(rows.map(({ due }, place) => due.getTime() - offset(place))).toEqual(
      expected.map((one) => Date.parse(one)),
    );
    const report = await broadcasts.get(id);
    expect(report).toMatchObject({ withoutZone: 1, hourPassed: 1, timing, estimate: { remaining: 4 } });
    t.clock.set('2026-03-02T11:10:00Z');
    expect(await t.sendDue()).toBe(1);
    expect(taken()).toEqual(['tokyo@example.com']);
    // The ten minutes are known by what was just sent; the last mail is due later than that, within the second that is told.
    const completesAt = new Date(Math.ceil((rows[3]?.due.getTime() ?? 0) / 1_000) * 1_000);
    expect((await broadcasts.get(id)).estimate).toMatchObject({ remaining: 3, completesAt });
    for (const time of ['02T19:10', '03T01:10', '03T07:10']) {
      t.clock.set(`2026-03-${time}:00Z`);
      expect(await t.sendDue()).toBe(1);
    }
    await settle(id);
    expect(await broadcasts.get(id)).toMatchObject({
      state: 'done',
      estimate: null,
      counts: { accepted: 4 },
    });
  });

  it('does not come to those whose hour is over when the owner says so; the ledger tells', async () => {
    await t.subscriber('apia@example.com', { timeZone: 'Pacific/Apia' });
    await t.subscriber('vienna@example.com', { timeZone: 'Europe/Vienna' });
    const { id } = await broadcasts.create(draft());
    await broadcasts.start(id, null, {
      local: { atLocal: '2026-03-02T20:00', fallbackZone: 'UTC', ifPassed: 'skip' },
      spreadMinutes: 0,
    });
    await planner.run(FOREVER);
    t.clock.set('2026-03-02T20:00:00Z');
    await settle(id);
    expect(taken()).toEqual(['vienna@example.com']);
    expect((await broadcasts.get(id)).counts).toEqual({ accepted: 1, expired: 1 });
  });

  it('has a subject of its own, variables and all', async () => {
    await t.subscriber('ada@example.org', { name: 'Ada' });
    const id = await started({ subject: "Q&A for {{ subscriber.firstName | default: 'you' }}" });
    await settle(id);
    expect(t.sink.mails.map(({ parsed }) => parsed.subject)).toEqual(['Q&A for Ada']);
    await expect(broadcasts.create(draft({ subject: 'For {{ subscriber.firstName' }))).rejects.toMatchObject({
      code: 'TEMPLATE_INVALID',
    });
    const wrong = await broadcasts.create(draft({ subject: 'For {{ reader.name }}' }));
    await expect(broadcasts.start(wrong.id, null)).rejects.toMatchObject({
      code: 'BROADCAST_PREFLIGHT_INVALID',
    });
  });

  it('goes once to a mailbox that several segments name, and to none that another one takes out', async () => {
    await tagged('a@example.com', ['a']);
    await tagged('ab@example.com', ['a', 'b']);
    await tagged('abc@example.com', ['a', 'b', 'c']);
    const segments = t.app.get(SegmentsService, { strict: false });
    for (const key of ['a', 'b', 'c']) await segments.create({ key, title: key, conditions: { tag: key } });
    const id = await started({ audience: { segments: { any: ['a', 'b', 'a'], none: ['c'] } } });
    await settle(id);
    expect(taken()).toEqual(['a@example.com', 'ab@example.com']);
  });

  it.each<[string, Audience]>([
    ['by tags', { tags: { any: ['vip'] } }],
    ['by a segment', { segments: { any: ['vips'] } }],
  ])(
    'leaves out who confirms or is tagged while a pause keeps its planning waiting: %s',
    async (_, audience) => {
      const segments = t.app.get(SegmentsService, { strict: false });
      if ('segments' in audience)
        await segments.create({ key: 'vips', title: 'VIPs', conditions: { tag: 'vip' } });
      const subscribers = t.app.get(SubscribersService, { strict: false });
      await tagged('vip@example.com', ['vip']);
      const unconfirmed = await tagged('unconfirmed@example.com', ['vip']);
      await t.db.query(`update subscriber set status = 'pending', confirmed_at = null where id = $1`, [
        unconfirmed,
      ]);
      const plain = await t.subscriber('plain@example.com');
      const id = await started({ audience });
      await t.app
        .get(BroadcastsQueries, { strict: false })
        .begin(t.db.manager, await broadcasts.get(id), t.clock.now());
      await broadcasts.pause(id);
      t.clock.advance(60_000);
      await t.db.transaction(async (manager) => subscribers.activate(manager, unconfirmed));
      await t.db.transaction(async (manager) => subscribers.tag(manager, plain, 'vip'));
      await broadcasts.resume(id);
      await planner.run(FOREVER);
      expect(await broadcasts.get(id)).toMatchObject({ planned: 1 });
    },
  );

  it('stays spread after a pause: what came up in it does not go at once', async () => {
    await people(60);
    const { id } = await broadcasts.create(draft());
    await broadcasts.start(id, null, { local: null, spreadMinutes: 360 });
    await planner.run(FOREVER);
    await broadcasts.pause(id);
    const begun = t.clock.now();
    t.clock.advance(300 * 60_000);
    await t.sendDue();
    expect([taken().length, (await broadcasts.get(id)).counts]).toMatchObject([0, { held: 50 }]);
    await broadcasts.resume(id);
    await planner.run(FOREVER);
    await t.sendDue();
    expect(taken().length).toBeLessThan(5);
    const rows: { minute: number }[] = await t.db.query(
      `select extract(epoch from due_at - $1)::int / 60 as minute from message where state = 'ready' order by 1`,
      [begun],
    );
    // Those whose time is still to come keep it, and the rest take five hours from now.
    const within = (from: number, to: number): number =>
      rows.filter(({ minute }) => minute >= from && minute < to).length;
    expect([within(300, 360) > 15, within(360, 480) > 15, within(480, 601) > 15, within(601, 1e9)]).toEqual([
      ...[true, true, true, 0],
    ]);
  });

  it('goes at its hour, not in the night, when the hour came in a pause; at once when that is not long ago', async () => {
    const local = { atLocal: '2026-03-03T09:00', fallbackZone: 'UTC', ifPassed: 'nextDay' as const };
    const after = async (
      resumed: string,
      ifPassed: 'nextDay' | 'send' = 'nextDay',
      spreadMinutes = 0,
    ): Promise<string[]> => {
      await people(3);
      const { id } = await broadcasts.create(draft());
      await broadcasts.start(id, null, { local: { ...local, ifPassed }, spreadMinutes });
      t.clock.set('2026-03-03T00:00:00Z');
      await planner.run(FOREVER);
      await broadcasts.pause(id);
      for (const time of ['2026-03-03T10:00:00Z', resumed]) {
        t.clock.set(time);
        await t.sendDue();
      }
      await broadcasts.resume(id);
      await planner.run(FOREVER);
      const rows: { at: Date }[] = await t.db.query(
        `select greatest(due_at, $1) as at from message where broadcast_id = $2 order by due_at`,
        [t.clock.now(), id],
      );
      await empty(t.db, 'message, message_attempt, broadcast, subscriber');
      t.clock.set('2026-03-02T09:00:00Z');
      return rows.map(({ at }) => at.toISOString().slice(8, 16));
    };
    const all = (time: string): string[] => [time, time, time];
    expect(await after('2026-03-03T14:00:00Z')).toEqual(all('03T14:00'));
    expect(await after('2026-03-03T23:30:00Z')).toEqual(all('04T09:00'));
    expect(await after('2026-03-05T02:00:00Z')).toEqual(all('05T09:00'));
    expect(await after('2026-03-03T23:30:00Z', 'send')).toEqual(all('03T23:30'));
    const [first = '', , last = ''] = await after('2026-03-03T23:30:00Z', 'nextDay', 60);
    expect([first >= '04T09:00', last > first, last < '04T10:00']).toEqual([true, true, true]);
  });

  it('that nothing could begin for a day asks before it begins; going on is the owner’s word', async () => {
    const overdue = t.app.get(OverdueService, { strict: false });
    await overdue.setSettings({ policy: 'ask', afterHours: 24 });
    await people(2);
    const { id } = await broadcasts.create(draft());
    await broadcasts.start(id, new Date('2026-03-02T10:00:00Z'));
    t.clock.set('2026-03-04T10:00:00Z');
    await settle(id);
    expect(await broadcasts.get(id)).toMatchObject({
      state: 'paused',
      stateReason:
        'overdue: its time passed 48 hours ago while nothing was sent; go on to send it now, or cancel it',
      counts: {},
    });
    const alerts = t.app.get(AlertsService, { strict: false });
    expect(await alerts.open()).toMatchObject([{ key: `broadcast:overdue:${id}`, severity: 'warning' }]);
    await t.subscriber('meanwhile@example.com');
    await broadcasts.resume(id);
    await settle(id);
    expect(taken()).toHaveLength(3);
    expect(await alerts.open()).toEqual([]);
    await overdue.setSettings({ policy: 'skip', afterHours: 24 });
    const second = await broadcasts.create(draft());
    await broadcasts.start(second.id, new Date('2026-03-04T11:00:00Z'));
    t.clock.set('2026-03-08T11:00:00Z');
    await settle(second.id);
    expect(await broadcasts.get(second.id)).toMatchObject({ state: 'cancelled', complete: true });
  });

  it('sends at most one mail per lane after the pause or the end that the owner called for', async () => {
    for (const word of ['pause', 'cancel'] as const) {
      t.sink.mails.length = 0;
      await empty(t.db, 'message, subscriber, broadcast');
      await people(100);
      const id = await started();
      await planner.run(FOREVER);
      let begunBefore = 0;
      let said: Promise<unknown> | undefined;
      t.sink.onRecipient = async () => {
        if (t.sink.mails.length < 20) return undefined;
        // All lanes stand before a body meanwhile, or a fast machine would be done with the rest.
        await (said ??= broadcasts[word](id).then(() => {
          begunBefore = t.sink.bodiesBegun;
        }));
        return undefined;
      };
      const before = t.sink.bodiesBegun;
      await t.sendDue();
      await said;
      t.sink.onRecipient = async () => undefined;
      const lanes = DEFAULT_LANES;
      expect(t.sink.bodiesBegun - begunBefore).toBeLessThanOrEqual(lanes);
      expect(t.sink.bodiesBegun - before).toBeLessThan(100);
      await planner.run(FOREVER);
      await t.sendDue();
      expect(t.sink.bodiesBegun - begunBefore).toBeLessThanOrEqual(lanes);
      if (word === 'pause') await broadcasts.resume(id);
      await settle(id);
      expect(new Set(taken()).size).toBe(taken().length);
      expect(taken().length).toBe(word === 'pause' ? 100 : t.sink.bodiesBegun - before);
    }
  });
});
