import type { OpenHours } from '../../values/week-hours.js';
import { passMs, type Arrival } from './passing.js';
import { rateOf, type Bucket } from './token-bucket.js';

/** Mails of one queue that come up at about the same time. */
export interface QueueLoad {
  queueKey: string;
  /** Until the last of them is due; 0: now. */
  inMs: number;
  /** Mails that are asked about. */
  ready: number;
  /** Other mails, which may go before them. */
  ahead: number;
  /** In which those that are asked about go alone; null or left out: at any. */
  hours?: OpenHours | null | undefined;
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
    .flatMap(({ inMs, ready, ahead, hours }) =>
      hours
        ? [...(ahead > 0 ? [{ inMs, count: ahead }] : []), { inMs, count: ready, hours }]
        : [{ inMs, count: ready + ahead }],
    );
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
      ms: passMs(bucket, arrivalsOf(through), nowMs),
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
      observedPerSecond === null
        ? null
        : passMs(relayBucket(observedPerSecond, nowMs), arrivalsOf(loads), nowMs);
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
