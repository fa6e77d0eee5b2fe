import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { broadcastDetail } from '../../../src/admin/broadcasts/broadcast-detail.js';
import { reportJson } from '../../../src/broadcasts/broadcast-json.js';
import { BroadcastReports } from '../../../src/broadcasts/broadcast-reports.service.js';
import { BroadcastResends } from '../../../src/broadcasts/broadcast-resends.service.js';
import type { BroadcastReport, BroadcastResults } from '../../../src/broadcasts/broadcast.js';
import { armOfWords, type Split } from '../../../src/broadcasts/split.js';
import { AT_ONCE, type BroadcastTiming } from '../../../src/broadcasts/timing.js';
import { AlertsService } from '../../../src/infra/alerts/alerts.service.js';
import { SegmentsService } from '../../../src/segments/segments.service.js';
import type { PostOffice } from '../delivery/post-office.js';
import { FOREVER, openDesk, SPLIT, type Desk } from './desk.js';

const MINUTE_MS = 60_000;

describe('a split test of a broadcast, with what its owner takes care of', () => {
  let desk: Desk;
  let t: PostOffice;
  beforeAll(async () => {
    desk = await openDesk();
    t = desk.t;
  });
  afterAll(async () => t.close());
  afterEach(async () => desk.clear());

  const get = async (id: string): Promise<BroadcastReport> => desk.broadcasts.get(id);
  const results = async (id: string): Promise<BroadcastResults> =>
    t.app.get(BroadcastReports, { strict: false }).results(id);
  const plan = async (): Promise<void> => desk.planner.run(FOREVER);
  const started = async (split: Split, timing: BroadcastTiming = AT_ONCE): Promise<string> => {
    const { id } = await desk.broadcasts.create(desk.draft({ split }));
    await desk.broadcasts.start(id, null, timing);
    await plan();
    return id;
  };
  const rows = async <R>(sql: string, parameters: unknown[] = []): Promise<R[]> =>
    t.db.query(sql, parameters);
  const alerts = async (): Promise<string[]> =>
    (await t.app.get(AlertsService, { strict: false }).open()).map(({ message }) => message);

  describe('with a holdout', () => {
    const HELD: Split = { ...SPLIT, testPercent: 40, holdout: '30%' };
    const heldOut = async (): Promise<{ id: string; email: string }[]> =>
      rows(
        `select s.id, s.email from message m join subscriber s on s.id = m.subscriber_id
         where m.state = 'suppressed' and m.state_reason = 'held out of the split test' order by s.id`,
      );

    it('sends them neither an arm nor the winner nor the same once more, and is complete all the same', async () => {
      await desk.people(120);
      const id = await started(HELD);
      const held = await heldOut();
      expect(held.length).toBeGreaterThan(20);
      expect((await get(id)).counts['held_out']).toBe(held.length);
      await t.sendDue();
      await plan();
      t.clock.advance(120 * MINUTE_MS);
      await plan();
      await desk.settle(id);
      const report = await get(id);
      expect(report).toMatchObject({ state: 'done', complete: true });
      expect(report.counts).toEqual({ accepted: 120 - held.length, held_out: held.length });
      const { id: again } = await t.app
        .get(BroadcastResends, { strict: false })
        .draft(id, { subject: 'Once more', template: null, unless: 'clicked', title: null });
      await t.db.query('update subscriber set tracking_consent = true');
      await desk.broadcasts.start(again, null);
      await desk.settle(again);
      expect((await get(again)).counts).toEqual({ accepted: 120 - held.length });
      const mailed = new Set(desk.taken());
      expect(held.filter(({ email }) => mailed.has(email))).toEqual([]);
    });

    it('compares what both groups buy from its beginning, per person, with what was paid back taken off', async () => {
      await desk.people(200);
      const id = await started({ ...HELD, testPercent: 20 });
      const held = await heldOut();
      await t.sendDue();
      t.clock.advance(MINUTE_MS);
      const buy = async (where: string, count: number, amount: number): Promise<void> => {
        await t.db.query(
          `insert into conversion (kind, funnel_key, dedupe_key, subscriber_id, amount_minor, currency, at)
           select 'order', 'x', 'order ' || $3::timestamptz || m.id, m.subscriber_id, $2::bigint, 'EUR', $3 from message m
           where ${where} order by m.id limit $1`,
          [count, amount, t.clock.now()],
        );
      };
      await buy(`m.state <> 'suppressed'`, 40, 5_000);
      await buy(`m.state = 'suppressed'`, 1, 3_000);
      // Before its beginning, and so no doing of the mail.
      await t.db.query(
        `insert into conversion (kind, funnel_key, dedupe_key, subscriber_id, amount_minor, currency, at)
         select 'order', 'x', 'early ' || id, subscriber_id, 9900, 'EUR', $1 from message where state = 'suppressed'`,
        [new Date(t.clock.now().getTime() - 60 * MINUTE_MS)],
      );
      const { holdout } = await results(id);
      const mailed = 200 - held.length;
      expect(holdout).toMatchObject({
        mailed: {
          ...{ people: mailed, buyers: 40 },
          revenue: [{ amountMinor: 200_000, currency: 'EUR', perPersonMinor: 200_000 / mailed }],
        },
        heldOut: { people: held.length, buyers: 1, revenue: [{ amountMinor: 3_000, currency: 'EUR' }] },
      });
      expect(holdout?.lift.low).toBeGreaterThan(1);
      // After thirty days the orders are the broadcast's no more.
      t.clock.advance(31 * 24 * 60 * MINUTE_MS);
      await buy(`m.state = 'held'`, 3, 5_000);
      expect((await results(id)).holdout?.mailed.buyers).toBe(40);
      expect((await results(await started(SPLIT))).holdout).toBeNull();
    });

    it('can be asked for by a segment', async () => {
      await desk.people(60);
      const id = await started(HELD);
      const held = await heldOut();
      const segments = t.app.get(SegmentsService, { strict: false });
      const split = { broadcast: id, arm: 'holdout' };
      await segments.create({ key: 'held-out', title: 'Held out', conditions: { split } });
      expect(await segments.count({ split })).toBe(held.length);
    });
  });

  describe('with guard rails', () => {
    const RAILS: Split = {
      ...SPLIT,
      arms: [{}, { subject: 'Arm B' }, { subject: 'Arm C' }],
      testPercent: 90,
      guardRails: { unsubscribes: '2%' },
    };
    const spread = { local: null, spreadMinutes: 100 };
    const subjects = (): Record<string, number> => {
      const counts: Record<string, number> = {};
      for (const { parsed } of t.sink.mails) {
        const arm = /Arm [BC]/.exec(parsed.subject ?? '')?.[0] ?? 'Arm A';
        counts[arm] = (counts[arm] ?? 0) + 1;
      }
      return counts;
    };

    /** The rest of the test, its wait, and the spread of the rest. */
    const runOut = async (): Promise<void> => {
      for (let hour = 0; hour < 8; hour++) {
        await plan();
        await t.sendDue();
        await plan();
        t.clock.advance(60 * MINUTE_MS);
      }
    };

    it('stops an arm whose readers leave, tells the owner, and shares its mails out among the others', async () => {
      await desk.people(400);
      const id = await started(RAILS, spread);
      t.clock.advance(50 * MINUTE_MS);
      await t.sendDue();
      await desk.leave(1, 20);
      await desk.leave(0, 1);
      const sent = subjects();
      t.sink.mails.length = 0;
      await plan();
      const { stoppedArms } = await get(id);
      expect(stoppedArms).toMatchObject([{ arm: 1, rail: 'unsubscribes', limit: 0.02 }]);
      expect(await alerts()).toEqual([
        expect.stringMatching(
          /^Broadcast "News of March": of its split test the arm “B” was stopped: .* at most 2\.00 %/,
        ),
      ]);
      const waiting = await rows<{ arm: number; n: number }>(
        `select arm, count(*)::int as n from message where state = 'ready' and arm < 0 group by 1 order by 1`,
      );
      expect(waiting.map(({ arm }) => armOfWords(arm))).toEqual([2, 0]);
      t.clock.advance(60 * MINUTE_MS);
      await t.sendDue();
      await plan();
      expect(subjects()['Arm B']).toBeUndefined();
      const given = waiting.reduce((sum, { n }) => sum + n, 0);
      expect(given).toBeGreaterThan(30);
      // Who was given another mail counts for no arm.
      const { arms } = await get(id);
      expect(arms?.map((one) => one.sent)).toEqual([
        (sent['Arm A'] ?? 0) + (subjects()['Arm A'] ?? 0) - (waiting[1]?.n ?? 0),
        sent['Arm B'],
        (sent['Arm C'] ?? 0) + (subjects()['Arm C'] ?? 0) - (waiting[0]?.n ?? 0),
      ]);
      await runOut();
      expect((await get(id)).decision).toMatchObject({ because: 'horizon', arm: 0 });
      expect(await get(id)).toMatchObject({ state: 'done', counts: { accepted: 400 } });
    });

    it('does not stop arms that keep to the limit, and looks every ten minutes', async () => {
      await desk.people(200);
      const id = await started(RAILS, spread);
      t.clock.advance(9 * MINUTE_MS);
      await t.sendDue();
      await plan();
      expect((await get(id)).lookedAt).toBeNull();
      t.clock.advance(MINUTE_MS);
      await desk.leave(1, 1);
      await plan();
      expect(await get(id)).toMatchObject({ lookedAt: t.clock.now(), stoppedArms: [] });
    });

    it('waits for the owner when every arm does harm, and goes on at their word', async () => {
      await desk.people(300);
      const id = await started(RAILS, spread);
      t.clock.advance(60 * MINUTE_MS);
      await t.sendDue();
      for (const arm of [0, 1, 2]) await desk.leave(arm, 15);
      await plan();
      expect(await get(id)).toMatchObject({
        state: 'paused',
        stateReason: expect.stringMatching(/^each arm of the split test broke a guard rail/),
      });
      expect(await alerts()).toHaveLength(3);
      t.sink.mails.length = 0;
      t.clock.advance(60 * MINUTE_MS);
      await t.sendDue();
      expect(t.sink.mails).toEqual([]);
      await desk.broadcasts.resume(id);
      await runOut();
      // As the owner was told, those of the test as well.
      expect(Object.keys(subjects())).toEqual(['Arm A']);
      expect((await get(id)).decision).toMatchObject({ because: 'guard_rails', arm: 0 });
      expect(await get(id)).toMatchObject({ state: 'done', counts: { accepted: 300 } });
    });
  });

  describe('on the hour', () => {
    const HOURS: Split = { ...SPLIT, arms: [{}, { at: '20:00' }], testPercent: 60 };
    const nine = { atLocal: '2026-03-03T09:00', fallbackZone: 'UTC', ifPassed: 'nextDay' as const };

    it('gives each arm its hour on each reader’s clock, and the rest that of the better one a day later', async () => {
      await t.db.query(
        `insert into subscriber (email, email_key, status, time_zone, created_at, updated_at)
         select 'p' || g || '@example.com', 'p' || g || '@example.com', 'active',
           case when g % 2 = 0 then 'Asia/Tokyo' else 'Europe/Vienna' end, $1, $1 from generate_series(1, 160) g`,
        [t.clock.now()],
      );
      const { id } = await desk.broadcasts.create(desk.draft({ split: HOURS }));
      await desk.broadcasts.start(id, null, { local: nine, spreadMinutes: 0 });
      t.clock.set('2026-03-02T20:00:00Z');
      await plan();
      for (const time of ['03T00:00', '03T08:00', '03T11:00', '03T19:00']) {
        t.clock.set(`2026-03-${time}:00Z`);
        await t.sendDue();
        await plan();
      }
      // Those of the morning have had no longer to click than those of the evening.
      await t.db.query(
        `insert into tracking_event (kind, message_id, class, reason, rule_version, at)
         select 'click', id, 'human', 'as the test says', 1, accepted_at + interval '3 hours' from message where arm = 0`,
      );
      await t.db.query(
        `insert into tracking_event (kind, message_id, class, reason, rule_version, at)
         select 'click', id, 'human', 'as the test says', 1, accepted_at + interval '1 hour' from message where arm = 1`,
      );
      t.clock.set('2026-03-03T21:00:00Z');
      await plan();
      const { decision, arms } = await get(id);
      expect([decision, arms?.[0]?.clickers]).toMatchObject([{ verdict: 'winner', arm: 1 }, 0]);
      await plan();
      const due = await rows<{ group: string; hours: string[] }>(
        `select coalesce(arm::text, 'rest') as group, array_agg(distinct to_char(due_at at time zone s.time_zone, 'DD HH24:MI')) as hours
         from message m join subscriber s on s.id = m.subscriber_id group by 1 order by 1`,
      );
      expect(due).toEqual([
        { group: '0', hours: ['03 09:00'] },
        { group: '1', hours: ['03 20:00'] },
        { group: 'rest', hours: ['04 20:00'] },
      ]);
      for (const time of ['04T11:00', '04T19:00']) {
        t.clock.set(`2026-03-${time}:00Z`);
        await desk.settle(id);
      }
      expect(await get(id)).toMatchObject({ state: 'done', counts: { accepted: 160 } });
    });

    it('compares nothing while the later arm waits for its hour, and says so', async () => {
      await desk.people(200);
      const { id } = await desk.broadcasts.create(desk.draft({ split: HOURS }));
      await desk.broadcasts.start(id, null, { local: { ...nine, timezone: 'UTC' }, spreadMinutes: 0 });
      await plan();
      t.clock.set('2026-03-03T09:00:00Z');
      await desk.settle(id);
      await t.db.query(
        `insert into tracking_event (kind, message_id, class, reason, rule_version, at)
         select 'click', id, 'human', 'as the test says', 1, accepted_at from message where arm = 0`,
      );
      t.clock.advance(2 * 60 * MINUTE_MS);
      const shown = async (): Promise<[api: unknown, page: unknown]> => {
        const report = await get(id);
        const detail = broadcastDetail({ report, subjects: [], size: null, results: null });
        return [reportJson(report)['split'], detail['split']];
      };
      const why = expect.stringMatching(/^The arms go at times of their own/);
      const none = { lift: null, pValue: null };
      expect(await shown()).toMatchObject([
        { notCompared: why, arms: [none, none] },
        {
          notCompared: why,
          warning: false,
          arms: [
            { lift: '', pValue: '' },
            { lift: '', pValue: '' },
          ],
        },
      ]);
      t.clock.set('2026-03-03T20:00:00Z');
      await desk.settle(id);
      t.clock.advance(2 * 60 * MINUTE_MS);
      await plan();
      expect(await shown()).toMatchObject([
        { notCompared: null, arms: [{ pValue: expect.any(Number) }, { lift: expect.anything() }] },
        {
          notCompared: null,
          warning: false,
          arms: [{ chosen: true }, { lift: expect.stringMatching(/\d/) }],
        },
      ]);
    });

    it.each([
      ['at once', AT_ONCE, 'BROADCAST_TIMING_INVALID', /^atLocal: /],
      ['with a spread', { local: nine, spreadMinutes: 60 }, 'BROADCAST_TIMING_INVALID', /^spreadMinutes: /],
      [
        'when the first arm has the hour of the second',
        { local: { ...nine, atLocal: '2026-03-03T20:00' }, spreadMinutes: 0 },
        'BROADCAST_SPLIT_INVALID',
        /^split\.arms: arms 1 and 2 are the same mail at the same hour/,
      ],
    ])('does not start %s', async (_, timing: BroadcastTiming, code, message) => {
      await desk.people(2);
      const { id } = await desk.broadcasts.create(desk.draft({ split: HOURS }));
      await expect(desk.broadcasts.start(id, null, timing)).rejects.toMatchObject({
        ...{ code, message: expect.stringMatching(message) },
      });
      expect((await get(id)).state).toBe('draft');
    });
  });
});
