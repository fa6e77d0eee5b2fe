import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  allocate,
  available,
  giveBack,
  giveBackDay,
  quotaOn,
  RAMP_DAYS,
  rampQuota,
  refill,
  spend,
  utcDay,
  waitMs,
  type Bucket,
} from '../../../../src/delivery/pacing/token-bucket.js';

const START = Date.parse('2026-03-02T09:00:00Z');
const DAY_MS = 86_400_000;

const bucket = (change: Partial<Bucket> = {}): Bucket => ({
  key: 'global',
  ratePerSecond: 10,
  burst: 20,
  tokens: 20,
  refilledAtMs: START,
  dailyQuota: null,
  quotaDay: utcDay(START),
  usedToday: 0,
  slowFactor: 1,
  rampStartedOn: null,
  rampDaysUsed: 0,
  ...change,
});

/** Steps of a worker's life: time passes, mails are taken. */
const steps = fc.array(fc.record({ ms: fc.integer({ min: -500, max: 40_000 }), want: fc.nat(200) }), {
  maxLength: 60,
});

describe('a token bucket', () => {
  it('never lets through more than rate × time + burst', () => {
    fc.assert(
      fc.property(
        steps,
        fc.double({ min: 0.01, max: 500, noNaN: true }),
        fc.integer({ min: 1, max: 300 }),
        (life, ratePerSecond, burst) => {
          let state = bucket({ ratePerSecond, burst, tokens: burst });
          let [now, latest, sent] = [START, START, 0];
          for (const { ms, want } of life) {
            now += ms;
            latest = Math.max(latest, now);
            state = refill(state, now);
            const taken = Math.min(want, available(state));
            state = spend(state, taken);
            sent += taken;
            expect(sent).toBeLessThanOrEqual((ratePerSecond * (latest - START)) / 1000 + burst + 1e-6);
            expect(state.tokens).toBeGreaterThan(-1e-6);
          }
        },
      ),
    );
  });

  it('never lets through more than the quota of a day, whatever the clock does', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ ms: fc.integer({ min: -50_000, max: DAY_MS / 3 }), want: fc.nat(500) })),
        fc.integer({ min: 1, max: 400 }),
        (life, dailyQuota) => {
          let state = bucket({ ratePerSecond: null, burst: null, dailyQuota });
          let now = START;
          const sentOn = new Map<string, number>();
          for (const { ms, want } of life) {
            now += ms;
            state = refill(state, now);
            const taken = Math.min(want, available(state));
            state = spend(state, taken);
            const day = state.quotaDay ?? '';
            sentOn.set(day, (sentOn.get(day) ?? 0) + taken);
            expect(sentOn.get(day)).toBeLessThanOrEqual(dailyQuota);
          }
        },
      ),
    );
  });

  it('has never less after waiting longer', () => {
    fc.assert(
      fc.property(fc.nat(1e7), fc.nat(1e7), fc.double({ min: 0, max: 20, noNaN: true }), (a, b, tokens) => {
        const [sooner, later] = [Math.min(a, b), Math.max(a, b)].map((ms) =>
          refill(bucket({ tokens }), START + ms),
        );
        expect(later?.tokens).toBeGreaterThanOrEqual(sooner?.tokens ?? Number.NaN);
      }),
    );
  });

  it('says how long to wait, and then there is one', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 3, noNaN: true }),
        fc.double({ min: 0.01, max: 100, noNaN: true }),
        (tokens, ratePerSecond) => {
          const now = bucket({ tokens, ratePerSecond });
          const wait = waitMs(now);
          expect(available(refill(now, START + wait))).toBeGreaterThanOrEqual(1);
          if (wait > 2) expect(available(refill(now, START + wait - 2))).toBe(0);
        },
      ),
    );
    const spent = bucket({ dailyQuota: 5, usedToday: 5 });
    expect(START + waitMs(spent)).toBe(Date.parse('2026-03-03T00:00:00Z'));
  });

  it('is at most full again after what was taken is given back', () => {
    const state = giveBack(spend(bucket(), 15), 100, START);
    expect(state).toMatchObject({ tokens: 20, usedToday: 0 });
  });

  it('opens nothing of a day for what comes back of the day before', () => {
    const midnight = Date.parse('2026-03-03T00:00:00Z');
    const taken = spend(bucket({ dailyQuota: 140 }), 20);
    const next = spend(refill(taken, midnight + 1_000), 10);
    expect(giveBack(next, 20, midnight - 1_000)).toMatchObject({ tokens: 20, usedToday: 10 });
    expect(giveBack(next, 4, midnight + 500)).toMatchObject({ tokens: 14, usedToday: 6 });
  });

  it('holds two seconds of its rate without a burst of its own, and one mail at the least', () => {
    expect(available(refill(bucket({ burst: null, tokens: 0 }), START + 60_000))).toBe(20);
    expect(
      available(refill(bucket({ burst: null, ratePerSecond: 0.01, tokens: 0 }), START + 1_000_000)),
    ).toBe(1);
  });

  it('goes on after the clock was put back by hours, without a gift of tokens', () => {
    const back = refill(bucket({ tokens: 3 }), START - 2 * 3_600_000);
    expect(back.tokens).toBe(3);
    expect(refill(back, START - 2 * 3_600_000 + 500).tokens).toBe(8);
  });
});

describe('the warm-up of a sender domain', () => {
  it('begins with a hundred mails, grows with every day of sending and ends after 28 of them', () => {
    const quotas = Array.from({ length: RAMP_DAYS }, (_, day) => rampQuota(day));
    expect(quotas.slice(0, 4)).toEqual([100, 140, 196, 274]);
    for (const [day, quota] of quotas.entries()) expect(quota).toBeGreaterThan(quotas[day - 1] ?? 0);
    expect(rampQuota(RAMP_DAYS)).toBeNull();
  });

  it('let 880,000 mails go on the first day of sending, four weeks after the day that was set', () => {
    const idle = refill(
      bucket({ rampStartedOn: '2026-01-01', quotaDay: '2026-01-01' }),
      Date.parse('2026-01-28T09:00Z'),
    );
    expect(quotaOn(idle, '2026-01-28')).toBe(100);
  });

  it('grows by days on which mails went alone, and by none before its first day', () => {
    let warm = bucket({ ratePerSecond: null, burst: null, rampStartedOn: '2026-03-03' });
    const quotas: (number | null)[] = [];
    for (const used of [7, 0, 1, 1, 0, 0, 1, 0]) {
      quotas.push(quotaOn(warm, warm.quotaDay ?? ''));
      warm = refill(spend(warm, used), warm.refilledAtMs + DAY_MS);
    }
    expect(quotas).toEqual([100, 100, 100, 140, 196, 196, 196, 274]);
  });

  it('expects a day of sending on each day to come', () => {
    const warm = bucket({ rampStartedOn: '2026-03-01', rampDaysUsed: 2 });
    expect(['2026-03-02', '2026-03-03', '2026-03-04'].map((day) => quotaOn(warm, day))).toEqual([
      196, 274, 384,
    ]);
    const early = bucket({ rampStartedOn: '2026-03-04' });
    expect(['2026-03-02', '2026-03-04', '2026-03-05'].map((day) => quotaOn(early, day))).toEqual([
      100, 100, 140,
    ]);
  });

  it('keeps below the quota that is set beside it', () => {
    const warm = { rampStartedOn: '2026-03-01' };
    expect(quotaOn(bucket({ ...warm, dailyQuota: 150 }), '2026-03-02')).toBe(100);
    expect(quotaOn(bucket({ ...warm, dailyQuota: 150, rampDaysUsed: 5 }), '2026-03-02')).toBe(150);
    expect(quotaOn(bucket({ ...warm, rampDaysUsed: RAMP_DAYS }), '2026-03-02')).toBeNull();
  });
});

describe('sharing among queues', () => {
  const bucketsOf = (queue: string): string[] => ['global', `lane:${queue}`];

  it('gives each queue its turn, and no queue more than it asked for', () => {
    const wants = [
      { queueKey: 'a', priority: 5, due: 1_000_000 },
      { queueKey: 'b', priority: 5, due: 2 },
      { queueKey: 'c', priority: 5, due: 0 },
    ];
    const { granted } = allocate(wants, 10, { buckets: [bucket()], bucketsOf });
    expect(granted).toEqual(
      new Map([
        ['a', 8],
        ['b', 2],
      ]),
    );
  });

  it('takes from every bucket of the queue, and stops where the first is empty', () => {
    const buckets = [bucket(), bucket({ key: 'lane:a', tokens: 3 })];
    const wants = ['a', 'b'].map((queueKey) => ({ queueKey, priority: 5, due: 50 }));
    const { granted, buckets: after } = allocate(wants, 100, { buckets, bucketsOf });
    expect(granted).toEqual(
      new Map([
        ['a', 3],
        ['b', 17],
      ]),
    );
    expect(after.map(({ tokens }) => tokens)).toEqual([0, 0]);
    expect(after.map(({ usedToday }) => usedToday)).toEqual([20, 3]);
  });

  it('gives as much as was asked for where there is no bucket', () => {
    const { granted } = allocate([{ queueKey: 'a', priority: 5, due: 5 }], 100, { buckets: [], bucketsOf });
    expect(granted).toEqual(new Map([['a', 5]]));
  });

  it('leaves nothing to a later priority that an earlier one could use, in whichever queue', () => {
    const at = (queueKey: string, priority: number, due = 100) => ({ queueKey, priority, due });
    const day = bucket({ ratePerSecond: null, burst: null, dailyQuota: 100 });
    const share = (places: ReturnType<typeof at>[], ...more: ReturnType<typeof bucket>[]) =>
      Object.fromEntries(allocate(places, 1_000, { buckets: [day, ...more], bucketsOf }).granted);
    const bulk = ['b', 'c', 'd'].map((queueKey) => at(queueKey, 9));
    expect(share([...bulk, at('a', 1)])).toEqual({ a: 80 });
    expect(share([...bulk, at('a', 1, 65)])).toEqual({ a: 65, b: 5, c: 5, d: 5 });
    expect(share([...bulk, at('a', 1)], bucket({ key: 'lane:a', tokens: 5 }))).toMatchObject({ a: 5, b: 25 });
    expect(share([at('a', 1, 95), at('b', 9), at('b', 0, 3), at('c', 0, 9)])).toEqual({ a: 68, b: 3, c: 9 });
  });

  it('never gives more than the limit, than was asked for, or than any bucket holds', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            queueKey: fc.constantFrom('a', 'b', 'c', 'd'),
            priority: fc.integer({ min: 1, max: 3 }),
            due: fc.nat(50),
          }),
        ),
        fc.nat(100),
        fc.array(fc.nat(30), { minLength: 5, maxLength: 5 }),
        (given, limit, [all = 0, ...rest]) => {
          const wants = [...new Map(given.map((want) => [want.queueKey, want])).values()];
          const buckets = [
            bucket({ tokens: all }),
            ...rest.map((tokens, index) => bucket({ key: `lane:${'abcd'[index]}`, tokens })),
          ];
          const { granted, buckets: after } = allocate(wants, limit, { buckets, bucketsOf });
          const total = [...granted.values()].reduce((sum, count) => sum + count, 0);
          expect(total).toBeLessThanOrEqual(limit);
          for (const { queueKey, due } of wants) expect(granted.get(queueKey) ?? 0).toBeLessThanOrEqual(due);
          for (const { tokens } of after) expect(tokens).toBeGreaterThanOrEqual(0);
          expect((after[0]?.tokens ?? 0) + total).toBe(all);
        },
      ),
    );
  });

  it('takes a mail that was refused before its body off the day it was paid on, and leaves the pace as it is', () => {
    const spent = spend(bucket({ dailyQuota: 10 }), 4);
    expect(giveBackDay(spent, 1, START)).toEqual({ ...spent, usedToday: 3 });
    const tomorrow = { ...refill(spent, START + DAY_MS), usedToday: 2 };
    expect(giveBackDay(tomorrow, 1, START)).toEqual(tomorrow);
  });
});
