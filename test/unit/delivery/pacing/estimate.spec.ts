import { describe, expect, it } from 'vitest';
import { estimate, passMs } from '../../../../src/delivery/pacing/estimate.js';
import { bucketKeysOf } from '../../../../src/delivery/pacing/bucket-keys.js';
import type { Bucket } from '../../../../src/delivery/pacing/token-bucket.js';

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
  {
    observedPerSecond = null,
    lastDueAtMs = null,
  }: { observedPerSecond?: number | null; lastDueAtMs?: number | null } = {},
): ReturnType<typeof estimate> =>
  estimate(queues, { buckets, bucketsOf: bucketKeysOf, observedPerSecond }, { nowMs: NOW, lastDueAtMs });

describe('how long mails take', () => {
  it('counts the pace, and how much of it is left after a slow-down', () => {
    expect(passMs(bucket('global', { ratePerSecond: 10, tokens: 20 }), 120)).toBe(10_000);
    expect(passMs(bucket('global', { ratePerSecond: 10, slowFactor: 0.5 }), 100)).toBe(20_000);
    expect(passMs(bucket('global', { ratePerSecond: 10, tokens: 20 }), 15)).toBe(0);
  });

  it('waits for the next day when the quota is used up', () => {
    const daily = bucket('global', { dailyQuota: 100, usedToday: 60 });
    // A twentieth of each day is kept for other mails.
    expect(passMs(daily, 35)).toBe(0);
    expect(passMs(daily, 36)).toBe(6 * HOUR_MS);
    expect(passMs(daily, 226)).toBe(54 * HOUR_MS);
  });

  it('follows a warm-up from day to day', () => {
    const warm = bucket('sender:example.com', { rampStartedOn: '2026-03-02' });
    expect(passMs(warm, 95)).toBe(0);
    expect(passMs(warm, 228)).toBe(6 * HOUR_MS);
    expect(passMs(warm, 229)).toBe(30 * HOUR_MS);
  });

  it('does not promise what takes longer than ten years', () => {
    expect(passMs(bucket('global', { dailyQuota: 1 }), 5_000)).toBeNull();
  });
});

describe('when all will have gone out', () => {
  const gmail = { queueKey: 'example.com|gmail', ready: 600, ahead: 0 };
  const other = { queueKey: 'example.com|other', ready: 60, ahead: 0 };

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
    expect(of([gmail], [], { observedPerSecond: 300 })).toMatchObject({
      completesAtMs: NOW + 2_000,
      limitedBy: 'relay',
    });
    expect(of([gmail], [])).toMatchObject({ completesAtMs: null, perSecond: null, limitedBy: 'relay' });
  });

  it.each([{ rampStartedOn: '2026-03-02' }, { dailyQuota: 100 }])(
    'is days ahead where the mails of today have gone, with %j: it was not known, and the relay was to blame',
    (limit) => {
      const buckets = [bucket('sender:example.com', { ...limit, usedToday: 95 })];
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

  it('is not before the last one is due', () => {
    const buckets = [bucket('global', { ratePerSecond: 10 })];
    expect(of([gmail], buckets, { lastDueAtMs: NOW + HOUR_MS }).completesAtMs).toBe(NOW + HOUR_MS);
  });

  it('is now when nothing waits', () => {
    expect(of([], [])).toEqual({ remaining: 0, completesAtMs: NOW, perSecond: null, limitedBy: null });
  });
});
