import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { estimate } from '../../../../src/delivery/pacing/estimate.js';
import { passMs, type Arrival } from '../../../../src/delivery/pacing/passing.js';
import { bucketKeysOf } from '../../../../src/delivery/pacing/bucket-keys.js';
import {
  available,
  refill,
  spend,
  waitMs,
  type Bucket,
} from '../../../../src/delivery/pacing/token-bucket.js';
import { daily } from '../../../../src/values/week-hours.js';

const NOW = Date.parse('2026-03-02T18:00:00Z');
const HOUR_MS = 3_600_000;
const bucket = (key: string, change: Partial<Bucket>): Bucket => ({
  key,
  ratePerSecond: null,
  burst: null,
  tokens: 0,
  refilledAtMs: NOW,
  dailyQuota: null,
  quotaDay: '2026-03-02',
  usedToday: 0,
  slowFactor: 1,
  rampStartedOn: null,
  rampDaysUsed: 0,
  ...change,
});
const of = (
  queues: Parameters<typeof estimate>[0],
  buckets: Bucket[],
  observedPerSecond: number | null = null,
): ReturnType<typeof estimate> =>
  estimate(queues, { buckets, bucketsOf: bucketKeysOf, observedPerSecond }, { nowMs: NOW });
const now = (count: number): Arrival[] => [{ inMs: 0, count }];

describe('how long mails take', () => {
  it('counts the pace, and how much of it is left after a slow-down', () => {
    expect(passMs(bucket('global', { ratePerSecond: 10, tokens: 20 }), now(120))).toBe(10_000);
    expect(passMs(bucket('global', { ratePerSecond: 10, slowFactor: 0.5 }), now(100))).toBe(20_000);
    expect(passMs(bucket('global', { ratePerSecond: 10, tokens: 20 }), now(15))).toBe(0);
    // What was taken beyond the pace is waited for first.
    expect(passMs(bucket('global', { ratePerSecond: 10, tokens: -50 }), now(100))).toBe(15_000);
  });

  it('waits for the next day when the quota is used up', () => {
    const daily = bucket('global', { dailyQuota: 100, usedToday: 60 });
    // A fifth of so small a day is kept for other mails.
    expect(passMs(daily, now(20))).toBe(0);
    expect(passMs(daily, now(21))).toBe(6 * HOUR_MS);
    expect(passMs(daily, now(181))).toBe(54 * HOUR_MS);
  });

  it('follows a warm-up from day to day', () => {
    const warm = bucket('sender:example.com', { rampStartedOn: '2026-03-02' });
    expect(passMs(warm, now(100))).toBe(0);
    expect(passMs(warm, now(240))).toBe(6 * HOUR_MS);
    expect(passMs(warm, now(241))).toBe(30 * HOUR_MS);
  });

  it('does not promise what takes longer than ten years', () => {
    expect(passMs(bucket('global', { dailyQuota: 1 }), now(5_000))).toBeNull();
  });
});

describe('when all will have gone out', () => {
  const gmail = { queueKey: 'example.com|gmail', inMs: 0, ready: 600, ahead: 0 };
  const other = { queueKey: 'example.com|other', inMs: 0, ready: 60, ahead: 0 };

  it('is decided by the slowest limit on the way', () => {
    const buckets = [
      bucket('global', { ratePerSecond: 100 }),
      bucket('group:gmail', { ratePerSecond: 1 }),
      bucket('group:yahoo', { ratePerSecond: 0.001 }),
    ];
    expect(of([gmail, other], buckets)).toEqual({
      remaining: 660,
      completesAtMs: NOW + 600_000,
      perSecond: 1.1,
      limitedBy: 'group:gmail',
    });
  });

  it('counts mails that go before', () => {
    const buckets = [bucket('global', { ratePerSecond: 10 })];
    expect(of([{ ...gmail, ahead: 400 }], buckets).completesAtMs).toBe(NOW + 100_000);
    expect(of([gmail, { ...other, ready: 0, ahead: 400 }], buckets).completesAtMs).toBe(NOW + 100_000);
  });

  it('goes by what the relays took lately where no pace is set', () => {
    expect(of([gmail], [], 300)).toMatchObject({
      completesAtMs: NOW + 2_000,
      limitedBy: 'relay',
    });
    expect(of([gmail], [])).toMatchObject({ completesAtMs: null, perSecond: null, limitedBy: 'relay' });
  });

  it.each([{ rampStartedOn: '2026-03-02' }, { dailyQuota: 100 }])(
    'is days ahead where the mails of today have gone, with %j: it was not known, and the relay was to blame',
    (limit) => {
      const buckets = [bucket('sender:example.com', { ...limit, usedToday: 100 })];
      const daily = of([gmail], buckets);
      expect(daily).toMatchObject({ limitedBy: 'sender:example.com', completesAtMs: expect.any(Number) });
      expect((daily.completesAtMs ?? 0) - NOW).toBeGreaterThan(2 * 24 * HOUR_MS);
      // How fast the mails of another sender go nobody knows.
      expect(of([gmail, { ...gmail, queueKey: 'example.net|gmail' }], buckets)).toMatchObject({
        limitedBy: 'relay',
        completesAtMs: null,
      });
    },
  );

  it('is as long after they are due as they take: all were said to go at that moment', () => {
    const tomorrow = 15 * HOUR_MS;
    const many = { ...gmail, inMs: tomorrow, ready: 36_000 };
    const buckets = [bucket('global', { ratePerSecond: 1, burst: 1 })];
    const endMs = of([many], buckets).completesAtMs;
    expect(endMs).toBe(NOW + tomorrow + 10 * HOUR_MS - 1_000);
    // Nothing is known of a pace but what was taken lately.
    expect(of([many], [], 1).completesAtMs).toBe(endMs);
    // What others have to send until then goes first, and what they have later does not.
    const others = [{ ...other, inMs: HOUR_MS, ready: 0, ahead: 15 * 3_600 }];
    expect(of([many, ...others], buckets).completesAtMs).toBe(NOW + 26 * HOUR_MS - 1_000);
    expect(of([many, { ...others[0]!, inMs: tomorrow + 1 }], buckets).completesAtMs).toBe(endMs);
  });

  it('takes several evenings where mails go by day alone: all were said to go in the first night', () => {
    const spans = daily([{ start: 12 * 60, end: 22 * 60 }]);
    const hours = { spans, timeZone: 'Europe/Berlin' };
    const buckets = [bucket('global', { ratePerSecond: 0.01 })];
    const day = 360;
    // In Berlin it is 19:00: three hours of today, all of tomorrow, and one of the day after.
    const many = { ...gmail, ready: 0.3 * day + day + 0.1 * day, hours };
    const endsAt = (loads: Parameters<typeof of>[0]): string =>
      new Date(Math.round((of(loads, buckets).completesAtMs ?? 0) / HOUR_MS) * HOUR_MS).toISOString();
    expect(endsAt([many])).toBe('2026-03-04T12:00:00.000Z');
    // While it is night there it is evening in New York.
    const york = { ...gmail, ready: 0.6 * day, hours: { spans, timeZone: 'America/New_York' } };
    expect(endsAt([many, york])).toBe('2026-03-04T12:00:00.000Z');
    // What others have to send goes first.
    expect(endsAt([{ ...many, ahead: 0.1 * day }])).toBe('2026-03-04T13:00:00.000Z');
    // A quota of the day is used up in the hours of that day.
    const quota = [bucket('global', { dailyQuota: 1_000, ratePerSecond: 100, usedToday: 1_000 })];
    const { completesAtMs } = of([{ ...gmail, ready: 1_900, hours }], quota);
    expect(new Date(completesAtMs ?? 0).toISOString()).toMatch(/^2026-03-04T11:00:0/);
  });

  it('is not before the last one is due, however fast they go', () => {
    const buckets = [bucket('global', { ratePerSecond: 10 })];
    expect(of([{ ...gmail, inMs: HOUR_MS, ready: 1 }], buckets).completesAtMs).toBe(NOW + HOUR_MS);
    expect(of([gmail, { ...other, inMs: HOUR_MS, ready: 1 }], buckets).completesAtMs).toBe(NOW + HOUR_MS);
  });

  it('is now when nothing waits', () => {
    expect(of([], [])).toEqual({ remaining: 0, completesAtMs: NOW, perSecond: null, limitedBy: null });
  });
});

describe('how long mails take, beside the bucket that lets them through one by one', () => {
  /** With the functions that sending itself goes by. */
  const oneByOneMs = (first: Bucket, arrivals: readonly Arrival[]): number => {
    let at = first;
    for (const { inMs, count } of arrivals.toSorted((a, b) => a.inMs - b.inMs))
      for (let mail = 0; mail < count; mail++) {
        at = refill(at, Math.max(at.refilledAtMs, NOW + inMs));
        while (available(at, 'bulk') < 1) at = refill(at, at.refilledAtMs + Math.max(1, waitMs(at, 'bulk')));
        at = spend(at, 1);
      }
    return at.refilledAtMs - NOW;
  };
  const arrivals = fc.array(
    fc.record({ inMs: fc.integer({ min: 0, max: 72 * HOUR_MS }), count: fc.integer({ min: 1, max: 150 }) }),
    { maxLength: 5 },
  );
  const pace = {
    ratePerSecond: fc.option(fc.double({ min: 0.005, max: 50, noNaN: true })),
    burst: fc.option(fc.integer({ min: 1, max: 40 })),
    tokens: fc.integer({ min: -40, max: 40 }),
    slowFactor: fc.double({ min: 0.2, max: 3, noNaN: true }),
    dailyQuota: fc.option(fc.integer({ min: 5, max: 400 })),
    usedToday: fc.integer({ min: 0, max: 100 }),
  };
  const made = (change: Partial<Bucket>): Bucket => refill(bucket('global', change), NOW);
  const steady = fc.record(pace).map(made);
  const any = fc
    .record({
      ...pace,
      rampStartedOn: fc.constantFrom(null, '2026-02-20', '2026-03-02', '2026-03-04'),
      rampDaysUsed: fc.integer({ min: 0, max: 29 }),
    })
    .map(made);
  const RUNS = { numRuns: 500, seed: 20_260_302 };
  /** Instants are whole milliseconds there, so that it may come a part of one too late at each mail. */
  const toleranceMs = (load: readonly Arrival[]): number => load.reduce((sum, { count }) => sum + count, 2);

  it('is the same to the second', () => {
    fc.assert(
      fc.property(any, arrivals, (one, load) => {
        const ms = passMs(one, load) ?? Infinity;
        const trueMs = oneByOneMs(one, load);
        expect(Math.abs(ms - trueMs)).toBeLessThanOrEqual(toleranceMs(load));
      }),
      RUNS,
    );
  });

  it('is longer for more mails and shorter at a higher pace', () => {
    fc.assert(
      // A warm-up lets more through the more days it was used on: there some mails more may be done sooner.
      fc.property(
        steady,
        arrivals,
        fc.nat(4),
        fc.double({ min: 1, max: 10, noNaN: true }),
        (one, load, n, by) => {
          const ms = passMs(one, load) ?? Infinity;
          const more = load.map((each, place) => (place === n ? { ...each, count: each.count + 1 } : each));
          expect(passMs(one, more) ?? Infinity).toBeGreaterThanOrEqual(ms - 2);
          const faster = {
            ...one,
            ratePerSecond: one.ratePerSecond === null ? null : one.ratePerSecond * by,
          };
          expect(passMs(faster, load) ?? Infinity).toBeLessThanOrEqual(ms + 2);
        },
      ),
    );
  });
});
