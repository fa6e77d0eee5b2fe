import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { BroadcastReport } from '../../../src/broadcasts/broadcast.js';
import type { Split } from '../../../src/broadcasts/split.js';
import { HeldService } from '../../../src/delivery/waiting/held.service.js';
import { OverdueService } from '../../../src/delivery/waiting/overdue.service.js';
import type { PostOffice } from '../delivery/post-office.js';
import { FOREVER, openDesk, SPLIT, type Desk } from './desk.js';

const MINUTE_MS = 60_000;

describe('a split test of a broadcast', () => {
  let desk: Desk;
  let t: PostOffice;
  beforeAll(async () => {
    desk = await openDesk();
    t = desk.t;
  });
  afterAll(async () => t.close());
  afterEach(async () => desk.clear());

  const get = async (id: string): Promise<BroadcastReport> => desk.broadcasts.get(id);
  const plan = async (): Promise<void> => desk.planner.run(FOREVER);
  const subjects = (): Record<string, number> => {
    const counts: Record<string, number> = {};
    for (const { parsed } of t.sink.mails) {
      const arm = parsed.subject === 'Arm B' ? 'B' : 'A';
      counts[arm] = (counts[arm] ?? 0) + 1;
    }
    return counts;
  };
  /** Planned, its test sent, and its wait begun. */
  const tested = async (count: number, split: Split = SPLIT): Promise<string> => {
    await desk.people(count);
    const id = await desk.started({ split });
    await plan();
    await t.sendDue();
    await plan();
    return id;
  };
  /** So many readers of the arm press a link, or a machine does. */
  const clicks = async (arm: number, count: number, hitClass = 'human'): Promise<void> => {
    await t.db.query(
      `insert into tracking_event (kind, message_id, class, reason, rule_version, at)
       select 'click', id, $3, 'as the test says', 1, $4 from message where arm = $1 order by id limit $2`,
      [arm, count, hitClass, t.clock.now()],
    );
  };
  const over = async (): Promise<void> => {
    t.clock.advance(SPLIT.waitMinutes * MINUTE_MS);
    await plan();
    await plan();
  };

  it('keeps the rest of the frozen audience waiting, and sends them the arm that people clicked', async () => {
    const id = await tested(160);
    const { counts, decideAt, arms } = await get(id);
    const inTest = counts['accepted'] ?? 0;
    expect(inTest).toBeGreaterThan(50);
    expect(counts).toEqual({ accepted: inTest, held: 160 - inTest });
    expect(arms?.map(({ sent }) => sent)).toEqual([subjects()['A'], subjects()['B']]);
    expect(decideAt).toEqual(new Date(t.clock.now().getTime() + 120 * MINUTE_MS));
    // Neither the owner's word about held mails nor a late joiner changes who the rest are.
    expect(await t.app.get(HeldService, { strict: false }).release({})).toBe(0);
    await t.subscriber('late@example.com');
    await clicks(0, 3);
    await clicks(1, 25);
    await plan();
    expect(await t.sendDue()).toBe(0);
    t.sink.mails.length = 0;
    await over();
    expect(await get(id)).toMatchObject({
      decision: { verdict: 'winner', because: null, arm: 1 },
      arms: [{ clickers: 3 }, { clickers: 25 }],
      complete: false,
    });
    await desk.settle(id);
    expect(subjects()).toEqual({ B: 160 - inTest });
    expect(await get(id)).toMatchObject({ state: 'done', counts: { accepted: 160 } });
    const twice: unknown[] = await t.db.query(
      'select subscriber_id from message group by 1 having count(*) > 1',
    );
    expect(twice).toEqual([]);
    expect(desk.taken()).not.toContain('late@example.com');
  });

  it('without a winner sends the first arm and says so; clicks of machines win nothing', async () => {
    const id = await tested(100);
    await clicks(1, 20, 'scanner');
    await clicks(0, 3);
    await clicks(1, 4);
    t.sink.mails.length = 0;
    await over();
    expect((await get(id)).decision).toMatchObject({ verdict: 'no_winner', because: 'horizon', arm: 0 });
    await desk.settle(id);
    expect(Object.keys(subjects())).toEqual(['A']);
  });

  it('is judged by money per reader, each up to the cap and in its currency, since their mail', async () => {
    const cap = { amountMinor: 5_000, currency: 'EUR' };
    const id = await tested(100, { ...SPLIT, testPercent: 90, judge: 'revenue', revenueCap: cap });
    const orders = async (arm: number, count: number, amount: number, currency = 'EUR'): Promise<void> => {
      await t.db.query(
        `insert into conversion (kind, funnel_key, dedupe_key, subscriber_id, amount_minor, currency, at)
         select 'order', 'x', $1 || ':' || $4::text || ':' || $3::bigint || ':' || id, subscriber_id, $3::bigint, $4, $5 from message
         where arm = $1::int order by id limit $2`,
        [String(arm), count, amount, currency, t.clock.now()],
      );
    };
    const refund = async (amount: number): Promise<void> => {
      await t.db.query(
        `with p as (
           insert into product (key, funnel_key, name, amount_minor, currency, created_at, updated_at)
           values ('kit', 'x', 'Kit', $1, 'EUR', $2, $2) returning id),
         f as (
           insert into offer (slug, funnel_key, product_id, content, sender, created_at, updated_at)
           select 'kit', 'x', id, '{}', '{}', $2, $2 from p returning id),
         o as (
           insert into orders (number, funnel_key, offer_id, email, status, amount_minor, currency, provider, created_at)
           select 'R-' || c.id, 'x', f.id, 'reader@example.com', 'refunded', $1, 'EUR', 'test', $2
           from f, conversion c where c.amount_minor = $1 returning id, number)
         update conversion c set order_id = o.id from o where o.number = 'R-' || c.id`,
        [amount, t.clock.now()],
      );
    };
    // One large order and much money of another currency do not win.
    await orders(0, 1, 9_999_900);
    await orders(0, 30, 4_900, 'USD');
    await orders(1, 30, 4_900);
    // What was paid back counts for nothing: without that, the other arm would have won.
    await orders(0, 40, 4_800);
    await refund(4_800);
    await over();
    const { decision, arms } = await get(id);
    expect(decision).toMatchObject({ verdict: 'winner', arm: 1 });
    expect(arms).toMatchObject([
      { revenueMinor: 9_999_900, capped: [{ amountMinor: 5_000, readers: 1 }] },
      { revenueMinor: 147_000, capped: [{ amountMinor: 4_900, readers: 30 }] },
    ]);
  });

  it('waits from the moment when its last mail was tried, and lets nobody go who has left meanwhile', async () => {
    await desk.people(60);
    const id = await desk.started({ split: SPLIT });
    await plan();
    await plan();
    expect((await get(id)).decideAt).toBeNull();
    t.clock.advance(60 * MINUTE_MS);
    await t.sendDue();
    await plan();
    expect((await get(id)).decideAt).toEqual(new Date(t.clock.now().getTime() + 120 * MINUTE_MS));
    const held = (await get(id)).counts['held'] ?? 0;
    await t.db.query(
      `update subscriber set status = 'unsubscribed' where id = (select min(subscriber_id) from message where state = 'held')`,
    );
    await over();
    await desk.settle(id);
    expect((await get(id)).counts).toEqual({ accepted: 59, suppressed: 1 });
    expect(held).toBeGreaterThan(10);
  });

  it('decides nothing in a pause, and after it goes on; cancelled, its rest is cancelled', async () => {
    const id = await tested(40);
    await desk.broadcasts.pause(id);
    await over();
    expect((await get(id)).decision).toBeNull();
    await desk.broadcasts.resume(id);
    await plan();
    expect((await get(id)).decision).not.toBeNull();
    await desk.broadcasts.cancel(id);
    await plan();
    expect(Object.keys((await get(id)).counts).toSorted()).toEqual(['accepted', 'cancelled']);
    expect(await get(id)).toMatchObject({ complete: true });
  });

  it('asks before the rest goes when its end came long ago while nothing ran', async () => {
    await t.app.get(OverdueService, { strict: false }).setSettings({ policy: 'ask', afterHours: 24 });
    const id = await tested(40);
    t.clock.advance(72 * 60 * MINUTE_MS);
    await plan();
    expect(await get(id)).toMatchObject({
      state: 'paused',
      stateReason: expect.stringMatching(/^overdue: its time passed 70 hours ago/),
      decision: null,
    });
    await desk.broadcasts.resume(id);
    await plan();
    await desk.settle(id);
    expect(await get(id)).toMatchObject({ state: 'done', counts: { accepted: 40 } });
  });

  it('gives the rest the local hour after the result, and their place in the spread', async () => {
    for (const [zone, name] of [
      ['Asia/Tokyo', 'tokyo'],
      ['Europe/Vienna', 'vienna'],
    ])
      for (let n = 0; n < 12; n++) await t.subscriber(`${name}${n}@example.com`, { timeZone: zone ?? '' });
    const { id } = await desk.broadcasts.create(desk.draft({ split: SPLIT }));
    const local = { atLocal: '2026-03-02T20:00', fallbackZone: 'UTC', ifPassed: 'nextDay' as const };
    await desk.broadcasts.start(id, null, { local, spreadMinutes: 10 });
    await plan();
    // The test: from 11:00 and 19:00 on Monday. Its result: 21:15. The rest: the same hours of Tuesday.
    for (const time of ['02T11:15', '02T19:15', '02T21:15', '03T11:15', '03T19:15']) {
      t.clock.set(`2026-03-${time}:00Z`);
      await t.sendDue();
      await plan();
      await plan();
    }
    const rows: { hours: string[] }[] = await t.db.query(
      `select array_agg(distinct to_char(due_at at time zone 'utc', 'DD HH24') order by to_char(due_at at time zone 'utc', 'DD HH24'))
         as hours from message group by arm is null order by arm is null`,
    );
    expect(rows.map(({ hours }) => hours)).toEqual([
      ['02 11', '02 19'],
      ['03 11', '03 19'],
    ]);
    expect(await get(id)).toMatchObject({ state: 'done', counts: { accepted: 24 } });
  });

  it.each([
    ['two arms that are one mail', { ...SPLIT, arms: [{}, {}] }, 'BROADCAST_SPLIT_INVALID'],
    ['an arm that is not there', { ...SPLIT, arms: [{}, { template: 'emails/none' }] }, 'TEMPLATE_NOT_FOUND'],
    [
      'an arm without a link to unsubscribe',
      { ...SPLIT, arms: [{}, { template: 'emails/receipt' }] },
      'TEMPLATE_INVALID',
    ],
  ])('is refused with %s', async (_, split, code) => {
    await expect(desk.broadcasts.create(desk.draft({ split }))).rejects.toMatchObject({ code });
  });

  it('does not start with an arm that would reach its readers broken, and names it', async () => {
    await desk.people(2);
    const split = { ...SPLIT, arms: [{}, { subject: 'For {{ reader.name }}' }] };
    const { id } = await desk.broadcasts.create(desk.draft({ split }));
    await expect(desk.broadcasts.start(id, null)).rejects.toMatchObject({
      code: 'BROADCAST_PREFLIGHT_INVALID',
      message: expect.stringMatching(/arm B: it prints \{\{ reader/),
    });
  });
});
