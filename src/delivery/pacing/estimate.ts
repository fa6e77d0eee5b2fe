import { quotaFor, rateOf, refill, spend, utcDay, type Bucket } from './token-bucket.js';
import { DAY_MS } from '../../values/time-units.js';

/** Nobody plans further ahead; beyond it a bucket counts as one that lets nothing through. */
const LONGEST_MS = 3_650 * DAY_MS;
/** Parts of mails add up to a little more than the mails. */
const ROUNDING = 1e-6;

/** Mails of one queue that come up at about the same time. */
export interface QueueLoad {
  queueKey: string;
  /** Until the last of them is due; 0: now. */
  inMs: number;
  /** Mails that are asked about. */
  ready: number;
  /** Other mails, which may go before them. */
  ahead: number;
}

export interface Estimate {
  remaining: number;
  /** Null: nothing goes, nothing was sent lately that would tell, or it would take more than ten years. */
  completesAtMs: number | null;
  /** Mails a second on average until then. */
  perSecond: number | null;
  /**
   * The limit that decides, by its bucket's key; `relay`: as fast as mails are taken. Without a time it may also be what lets
   * nothing through: `relay`, `ledger`, `leavings` or `signing`. Null when nothing waits.
   */
  limitedBy: string | null;
}

/**
 * With `count` mails that are not written yet and for which neither queue nor time is known: shared out as those are that are
 * written, or all as in `alone` where none is.
 */
export function withUnwritten(
  loads: readonly QueueLoad[],
  count: number,
  alone: Pick<QueueLoad, 'queueKey' | 'inMs'>,
): QueueLoad[] {
  const written = loads.reduce((sum, { ready }) => sum + ready, 0);
  if (written === 0) return [...loads, { ...alone, ready: count, ahead: 0 }];
  return loads.map((load) => ({ ...load, ready: load.ready + (count * load.ready) / written }));
}

/**
 * What stops mails however much their limits let through: no relay works, the ledger waits for its owner, those of lists wait for a
 * process that may know of leavings, or a DKIM key is bad.
 */
export type Stop = 'relay' | 'ledger' | 'leavings' | 'signing';

export interface Arrival {
  inMs: number;
  count: number;
}

/**
 * Milliseconds until the bucket, refilled now, has let all through that comes up, first come first served; null: never. Goes
 * from day to day and not from mail to mail, so that a million take no longer to count than one.
 */
export function passMs(bucket: Bucket, arrivals: readonly Arrival[]): number | null {
  const startMs = bucket.refilledAtMs;
  let now = bucket;
  for (const { inMs, count } of arrivals.toSorted((a, b) => a.inMs - b.inMs)) {
    now = refill(now, Math.max(now.refilledAtMs, startMs + inMs));
    for (let left = count; left > ROUNDING;) {
      const endMs = (Math.floor(now.refilledAtMs / DAY_MS) + 1) * DAY_MS;
      const today = passedToday(now, left, endMs);
      left -= today.passed;
      now = left > ROUNDING ? refill(today.bucket, endMs) : today.bucket;
      if (now.refilledAtMs - startMs > LONGEST_MS) return null;
    }
  }
  return now.refilledAtMs - startMs;
}

/** What goes of `count` mails until the day ends, and the bucket at the moment at which the last of it has gone. */
function passedToday(bucket: Bucket, count: number, endMs: number): { passed: number; bucket: Bucket } {
  // Bulk mails, which an estimate is about, leave the reserve.
  const quota = quotaFor(bucket, 'bulk', utcDay(bucket.refilledAtMs));
  const byDay = quota === null ? count : Math.max(0, quota - bucket.usedToday);
  const rate = rateOf(bucket);
  if (rate === null) {
    const passed = Math.min(count, byDay);
    return { passed, bucket: spend(bucket, passed) };
  }
  const { tokens } = bucket;
  // The mail that midnight comes upon is one of the next day.
  const byRate = Math.floor(tokens + (rate / 1000) * (endMs - bucket.refilledAtMs) + ROUNDING);
  const passed = Math.max(0, Math.min(count, byDay, byRate));
  const tookMs = passed === 0 ? 0 : Math.max(0, ((passed - tokens) / rate) * 1000);
  const filled = tokens + (tookMs / 1000) * rate;
  const refilledAtMs = Math.min(endMs, bucket.refilledAtMs + tookMs);
  return { passed, bucket: spend({ ...bucket, tokens: filled, refilledAtMs }, passed) };
}

/** As fast as the relays took mails lately, as a bucket. */
function relayBucket(perSecond: number, nowMs: number): Bucket {
  const none = { dailyQuota: null, quotaDay: null, usedToday: 0, rampStartedOn: null, rampDaysUsed: 0 };
  const pace = { ratePerSecond: perSecond, burst: 1, tokens: 0, slowFactor: 1 };
  return { key: 'relay', ...none, ...pace, refilledAtMs: nowMs };
}

/** Of what passes through a bucket, all that goes before the last mail that is asked about. */
function arrivalsOf(loads: readonly QueueLoad[]): Arrival[] {
  const lastMs = lastOf(loads);
  return loads
    .filter(({ inMs }) => inMs <= lastMs)
    .map(({ inMs, ready, ahead }) => ({ inMs, count: ready + ahead }));
}

function lastOf(loads: readonly QueueLoad[]): number {
  return Math.max(0, ...loads.filter(({ ready }) => ready > 0).map(({ inMs }) => inMs));
}

/**
 * When the mails will have gone out at the present rates. Each bucket is asked how long it takes for all that passes
 * through it, as it comes up; the slowest decides. `observedPerSecond` is what the relays took lately, for queues without any
 * limit of pace; null: nothing is known.
 */
export function estimate(
  loads: readonly QueueLoad[],
  {
    buckets,
    bucketsOf,
    observedPerSecond,
  }: {
    buckets: readonly Bucket[];
    bucketsOf: (queueKey: string) => readonly string[];
    observedPerSecond: number | null;
  },
  { nowMs, stop = null }: { nowMs: number; stop?: Stop | null },
): Estimate {
  const remaining = Math.round(loads.reduce((sum, { ready }) => sum + ready, 0));
  if (remaining === 0) return { remaining, completesAtMs: nowMs, perSecond: null, limitedBy: null };
  if (stop !== null) return { remaining, completesAtMs: null, perSecond: null, limitedBy: stop };
  const asked = loads.filter(({ ready }) => ready > 0);
  const times = buckets
    .map((bucket) => ({
      bucket,
      through: loads.filter(({ queueKey }) => bucketsOf(queueKey).includes(bucket.key)),
    }))
    .filter(({ through }) => through.some(({ ready }) => ready > 0))
    .map(({ bucket, through }) => ({
      key: bucket.key,
      ms: passMs(bucket, arrivalsOf(through)),
      lastMs: lastOf(through),
    }));
  const paced = new Set(buckets.filter((bucket) => rateOf(bucket) !== null).map(({ key }) => key));
  // While the mails of a day have gone nothing is taken, and how fast it would be makes no matter of days.
  const overDays = new Set(
    observedPerSecond === null ? times.filter(({ ms, lastMs }) => ms !== lastMs).map(({ key }) => key) : [],
  );
  const unpaced = asked.some(
    ({ queueKey }) => !bucketsOf(queueKey).some((key) => paced.has(key) || overDays.has(key)),
  );
  const lastMs = lastOf(loads);
  if (unpaced) {
    const ms =
      observedPerSecond === null ? null : passMs(relayBucket(observedPerSecond, nowMs), arrivalsOf(loads));
    times.push({ key: 'relay', ms, lastMs });
  }
  const never = times.find(({ ms }) => ms === null);
  if (never) return { remaining, completesAtMs: null, perSecond: null, limitedBy: never.key };
  const slowest = times.toSorted((a, b) => (b.ms ?? 0) - (a.ms ?? 0))[0];
  const ms = Math.max(slowest?.ms ?? 0, lastMs);
  return {
    remaining,
    completesAtMs: nowMs + Math.ceil(ms),
    perSecond: ms > 0 ? remaining / (ms / 1000) : null,
    limitedBy: slowest?.key ?? null,
  };
}
