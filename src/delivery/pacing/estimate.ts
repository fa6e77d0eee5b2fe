import { quotaOn, rateOf, reserveOf, utcDay, type Bucket } from './token-bucket.js';
import { DAY_MS } from '../../values/time-units.js';

/** Nobody plans further ahead; beyond it a bucket counts as one that lets nothing through. */
const LONGEST_DAYS = 3_650;

export interface QueueLoad {
  queueKey: string;
  /** Mails that are asked about. */
  ready: number;
  /** Other mails that are due now and may go before them. */
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
   * nothing through: `relay`, `ledger` or `signing`. Null when nothing waits.
   */
  limitedBy: string | null;
}

/**
 * With `count` mails that are not written yet and for which no queue is known: shared out as those are that are written, or
 * all in `queueKey` where none is.
 */
export function withUnwritten(queues: readonly QueueLoad[], count: number, queueKey: string): QueueLoad[] {
  const written = queues.reduce((sum, { ready }) => sum + ready, 0);
  if (written === 0) {
    const known = queues.find((queue) => queue.queueKey === queueKey);
    const others = queues.filter((queue) => queue.queueKey !== queueKey);
    return [...others, { queueKey, ready: count, ahead: known?.ahead ?? 0 }];
  }
  return queues.map((queue) => ({ ...queue, ready: queue.ready + (count * queue.ready) / written }));
}

/** What stops all mails however much their limits let through: no relay works, the ledger waits for its owner, or a DKIM key is bad. */
export type Stop = 'relay' | 'ledger' | 'signing';

/** Milliseconds until the bucket, refilled at `bucket.refilledAtMs`, has let `count` mails through; null: never. */
export function passMs(bucket: Bucket, count: number): number | null {
  const rate = rateOf(bucket);
  const perMs = rate === null ? Number.POSITIVE_INFINITY : rate / 1000;
  let left = count;
  let tokens = rate === null ? Number.POSITIVE_INFINITY : Math.max(0, bucket.tokens);
  let atMs = bucket.refilledAtMs;
  for (let day = 0; day < LONGEST_DAYS && left > 0; day++) {
    const endMs = (Math.floor(atMs / DAY_MS) + 1) * DAY_MS;
    // Bulk mails, which an estimate is about, leave the reserve.
    const quota = quotaOn(bucket, utcDay(atMs));
    const forBulk = quota === null ? Number.POSITIVE_INFINITY : quota - reserveOf(quota);
    const byQuota = Math.max(0, forBulk - (day === 0 ? bucket.usedToday : 0));
    const today = Math.min(byQuota, tokens + perMs * (endMs - atMs));
    if (left <= today) return atMs + Math.max(0, left - tokens) / perMs - bucket.refilledAtMs;
    left -= today;
    tokens = 0;
    atMs = endMs;
  }
  return left > 0 ? null : 0;
}

/**
 * When the mails will have gone out at the present rates. Each bucket is asked how long it takes for all that passes
 * through it; the slowest decides. `observedPerSecond` is what the relays took lately, for queues without any limit of
 * pace; null: nothing is known.
 */
export function estimate(
  queues: readonly QueueLoad[],
  {
    buckets,
    bucketsOf,
    observedPerSecond,
  }: {
    buckets: readonly Bucket[];
    bucketsOf: (queueKey: string) => readonly string[];
    observedPerSecond: number | null;
  },
  { nowMs, lastDueAtMs, stop = null }: { nowMs: number; lastDueAtMs: number | null; stop?: Stop | null },
): Estimate {
  const remaining = Math.round(queues.reduce((sum, { ready }) => sum + ready, 0));
  if (remaining === 0) return { remaining, completesAtMs: nowMs, perSecond: null, limitedBy: null };
  if (stop !== null) return { remaining, completesAtMs: null, perSecond: null, limitedBy: stop };
  const asked = queues.filter(({ ready }) => ready > 0);
  const times = buckets
    .map((bucket) => ({
      bucket,
      through: queues.filter(({ queueKey }) => bucketsOf(queueKey).includes(bucket.key)),
    }))
    .filter(({ through }) => through.some(({ ready }) => ready > 0))
    .map(({ bucket, through }) => ({
      key: bucket.key,
      ms: passMs(
        bucket,
        through.reduce((sum, { ready, ahead }) => sum + ready + ahead, 0),
      ),
    }));
  const paced = new Set(buckets.filter((bucket) => rateOf(bucket) !== null).map(({ key }) => key));
  // While the mails of a day have gone nothing is taken, and how fast it would be makes no matter of days.
  const overDays = new Set(
    observedPerSecond === null ? times.filter(({ ms }) => ms !== 0).map(({ key }) => key) : [],
  );
  const unpaced = asked.some(
    ({ queueKey }) => !bucketsOf(queueKey).some((key) => paced.has(key) || overDays.has(key)),
  );
  if (unpaced) {
    const load = queues.reduce((sum, { ready, ahead }) => sum + ready + ahead, 0);
    const ms = observedPerSecond === null ? null : (load / observedPerSecond) * 1000;
    times.push({ key: 'relay', ms });
  }
  const never = times.find(({ ms }) => ms === null);
  if (never) return { remaining, completesAtMs: null, perSecond: null, limitedBy: never.key };
  const slowest = times.toSorted((a, b) => (b.ms ?? 0) - (a.ms ?? 0))[0];
  const ms = Math.max(slowest?.ms ?? 0, (lastDueAtMs ?? nowMs) - nowMs);
  return {
    remaining,
    completesAtMs: nowMs + Math.ceil(ms),
    perSecond: ms > 0 ? remaining / (ms / 1000) : null,
    limitedBy: slowest?.key ?? null,
  };
}
