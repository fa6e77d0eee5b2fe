import type { DuePlace } from '../ledger/due-places.js';
import { DAY_MS } from '../../values/time-units.js';
/**
 * One limit that every worker shares: mails a second, with a burst, and mails a day. Times are epoch milliseconds, days
 * are `YYYY-MM-DD` in UTC, both by the database's clock. Nothing here knows what a bucket is for.
 */
export interface Bucket {
  key: string;
  /** Null: the pace is not limited (the day may be). */
  ratePerSecond: number | null;
  /** Mails that may go at once after a pause; at least 1. */
  burst: number | null;
  tokens: number;
  refilledAtMs: number;
  dailyQuota: number | null;
  quotaDay: string | null;
  usedToday: number;
  /** What is left of the rate after the receiver has asked for less; grows again by {@link recovered}. */
  slowFactor: number;
  /** First day of the warm-up of a new sender domain; null when it is not warmed up. */
  rampStartedOn: string | null;
  /** Days of the warm-up before `quotaDay` on which mails went: receivers get to know a sender by its mails, not by the calendar. */
  rampDaysUsed: number;
}

/** Sending ends its look for due mails at most every two seconds: a smaller burst would leave part of the rate unused. */
const BURST_SECONDS = 2;
/** A clock that was put right by more than this has nothing to do with two workers racing. */
export const CLOCK_STEP_MS = 60_000;
/** Adding up parts of a token leaves 0.9999999 where 1 is meant. */
const ROUNDING = 1e-9;

/**
 * Part of a day's quota that is kept for confirmations, receipts and the like, in hundredths; of a small quota so many mails, up to
 * a part of it: of 100 a day the sixth to sign up behind a broadcast waited for the next day.
 */
const RESERVE_PERCENT = 5;
const RESERVE_LEAST = 20;
const RESERVE_PERCENT_AT_MOST = 20;
/** Of these, the last of a day are for what each owner is told of, that others wait: so many, but no more than half. */
const OWNERS_SHARE = 3;

/** Mails on the first day of a warm-up, their growth from one day of sending to the next, and its length: 100, 140, 196 ... 880,000. */
const RAMP_FIRST_DAY = 100;
const RAMP_GROWTH = 1.4;
export const RAMP_DAYS = 28;
/**
 * What somebody waits for may make a warm-up's day so many times as long: it is read, which is what a warm-up is for, and a
 * confirmation that comes a day later is a reader lost. A quota is a provider's word, and nothing goes beyond it.
 */
const RAMP_FOR_AWAITED = 2;

export function utcDay(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

function daysBetween(from: string, to: string): number {
  return Math.round((Date.parse(to) - Date.parse(from)) / DAY_MS);
}

/** Mails a second that the bucket lets through now; null: no limit. */
export function rateOf({ ratePerSecond, slowFactor }: Bucket): number | null {
  return ratePerSecond === null ? null : ratePerSecond * slowFactor;
}

function burstOf(bucket: Bucket): number {
  const { ratePerSecond, burst, slowFactor } = bucket;
  return Math.max(1, (burst ?? (ratePerSecond ?? 0) * BURST_SECONDS) * Math.min(1, slowFactor));
}

/** Mails that a day of a warm-up may carry, after `daysUsed` others on which mails went; null when it is over. */
export function rampQuota(daysUsed: number): number | null {
  return daysUsed >= RAMP_DAYS ? null : Math.round(RAMP_FIRST_DAY * RAMP_GROWTH ** daysUsed);
}

/**
 * The smaller of the owner's quota and the warm-up's; null: no limit. Of a day to come, if mails go on each until then. Before the
 * first day of a warm-up as on the first.
 */
export function quotaOn(
  { dailyQuota, rampStartedOn, rampDaysUsed, quotaDay }: Bucket,
  day: string,
): number | null {
  const from = quotaDay === null || (rampStartedOn ?? '') > quotaDay ? rampStartedOn : quotaDay;
  const ahead = quotaDay === null || from === null ? 0 : Math.max(0, daysBetween(from, day));
  const ramp = rampStartedOn === null ? null : rampQuota(rampDaysUsed + ahead);
  if (ramp === null) return dailyQuota;
  return dailyQuota === null ? ramp : Math.min(dailyQuota, ramp);
}

/** Mails of the day's quota that no bulk mail may use: whoever signs up after a big broadcast still gets an answer. */
function reserveOf(quota: number): number {
  const share = (percent: number): number => (quota * percent) / 100;
  return Math.floor(
    Math.max(share(RESERVE_PERCENT), Math.min(RESERVE_LEAST, share(RESERVE_PERCENT_AT_MOST))),
  );
}

/**
 * The bucket as it stands at `nowMs`. Never takes a token away but those above a burst that has become smaller, and a
 * clock that runs backwards adds none.
 */
export function refill(bucket: Bucket, nowMs: number): Bucket {
  const stepped = nowMs < bucket.refilledAtMs - CLOCK_STEP_MS;
  const refilledAtMs = stepped ? nowMs : Math.max(nowMs, bucket.refilledAtMs);
  const seconds = stepped ? 0 : (refilledAtMs - bucket.refilledAtMs) / 1000;
  const today = utcDay(refilledAtMs);
  const { quotaDay, usedToday, rampStartedOn, rampDaysUsed } = bucket;
  const isNewDay = quotaDay === null || today > quotaDay;
  const wasWarmed = quotaDay !== null && rampStartedOn !== null && quotaDay >= rampStartedOn && usedToday > 0;
  return {
    ...bucket,
    tokens: Math.min(burstOf(bucket), bucket.tokens + (rateOf(bucket) ?? 0) * seconds),
    refilledAtMs,
    // A day to come is of a clock that was ahead: what went on it went today. Kept, it would be no new day until then.
    quotaDay: today,
    usedToday: isNewDay ? 0 : usedToday,
    rampDaysUsed: isNewDay && wasWarmed ? rampDaysUsed + 1 : rampDaysUsed,
  };
}

/** Who asks: a bulk mail leaves the reserve, one that somebody waits for the last of a day, which are the owners'. */
export type Urgency = 'owner' | 'urgent' | 'bulk';

/** At priority 0 somebody waits, below it the owner is told of what cannot. */
export function urgencyOf(priority: number): Urgency {
  if (priority > 0) return 'bulk';
  return priority === 0 ? 'urgent' : 'owner';
}

/** Of the day's mails, those that may go so; null: no limit. */
export function quotaFor(bucket: Bucket, urgency: Urgency, day = dayOf(bucket)): number | null {
  const { dailyQuota } = bucket;
  if (urgency === 'owner' || (dailyQuota === null && bucket.rampStartedOn === null)) return dailyQuota;
  const ramp = quotaOn({ ...bucket, dailyQuota: null }, day);
  const isBulk = urgency === 'bulk';
  const reserve = dailyQuota === null ? 0 : reserveOf(dailyQuota);
  const kept = isBulk ? reserve : Math.min(OWNERS_SHARE, Math.floor(reserve / 2));
  const quotas = [
    ...(dailyQuota === null ? [] : [dailyQuota - kept]),
    ...(ramp === null ? [] : [isBulk ? ramp : ramp * RAMP_FOR_AWAITED]),
  ];
  return quotas.length === 0 ? null : Math.min(...quotas);
}

function dayOf({ quotaDay, refilledAtMs }: Bucket): string {
  return quotaDay ?? utcDay(refilledAtMs);
}

/** How many mails may go now, out of a bucket that has been refilled; Infinity without any limit. */
export function available(bucket: Bucket, urgency: Urgency = 'urgent'): number {
  const byRate =
    bucket.ratePerSecond === null ? Number.POSITIVE_INFINITY : Math.floor(bucket.tokens + ROUNDING);
  const quota = quotaFor(bucket, urgency);
  const byDay = quota === null ? Number.POSITIVE_INFINITY : quota - bucket.usedToday;
  return Math.max(0, Math.min(byRate, byDay));
}

/** After `count` mails, at most what was available. */
export function spend(bucket: Bucket, count: number): Bucket {
  return { ...bucket, tokens: bucket.tokens - count, usedToday: bucket.usedToday + count };
}

/** Undoes {@link spend} for mails that were not begun. What was spent yesterday opens nothing of today's quota. */
export function giveBack(bucket: Bucket, count: number, spentAtMs: number): Bucket {
  return {
    ...giveBackDay(bucket, count, spentAtMs),
    tokens: Math.min(burstOf(bucket), bucket.tokens + count),
  };
}

/** For mails that were refused before their body: the try was one for the pace, and no mail of the day. As {@link giveBack}. */
export function giveBackDay(bucket: Bucket, count: number, spentAtMs: number): Bucket {
  const sameDay = bucket.quotaDay === null || utcDay(spentAtMs) >= bucket.quotaDay;
  return { ...bucket, usedToday: sameDay ? Math.max(0, bucket.usedToday - count) : bucket.usedToday };
}

/** For people: whole seconds, as the clocks of database and worker differ by some milliseconds. A day would seem to end at 23:59. */
export const secondAfter = (ms: number): Date => new Date(Math.ceil(ms / 1_000) * 1_000);

/** Milliseconds until one mail may go, out of a bucket that has been refilled; 0 when one may go now. */
export function waitMs(bucket: Bucket, urgency: Urgency = 'urgent'): number {
  if (available(bucket, urgency) > 0) return 0;
  const quota = quotaFor(bucket, urgency);
  if (quota !== null && bucket.usedToday >= quota)
    return (Math.floor(bucket.refilledAtMs / DAY_MS) + 1) * DAY_MS - bucket.refilledAtMs;
  const rate = rateOf(bucket) ?? Number.POSITIVE_INFINITY;
  return Math.ceil(((1 - bucket.tokens) / rate) * 1000);
}

/**
 * Shares at most `limit` mails among queues, priority after priority: nothing of a later one goes while an earlier one may
 * take more, in whichever queue. Within one, each queue has one in turn, so that a million waiting in one do not keep the
 * others from theirs. What may go of a day, `quotaFor` says by their urgency. `bucketsOf` names the buckets
 * a queue has to pay from; each is paid once for each mail. The buckets come back as they are after it.
 */
export function allocate(
  places: readonly DuePlace[],
  limit: number,
  { buckets, bucketsOf }: { buckets: readonly Bucket[]; bucketsOf: (queueKey: string) => readonly string[] },
): { granted: Map<string, number>; buckets: Bucket[] } {
  const granted = new Map<string, number>();
  const spent = new Map<string, number>();
  let total = 0;
  const share = (wanted: readonly DuePlace[], urgency: Urgency): void => {
    const left = new Map(
      buckets.map((bucket) => [bucket.key, available(bucket, urgency) - (spent.get(bucket.key) ?? 0)]),
    );
    let open = wanted.map(({ queueKey, due }) => ({
      ...{ queueKey, due, keys: bucketsOf(queueKey).filter((key) => left.has(key)) },
    }));
    for (let turn = 0; open.length > 0 && total < limit; turn++) {
      open = open.filter(({ queueKey, due, keys }) => {
        if (total >= limit || turn >= due || keys.some((key) => (left.get(key) ?? 0) < 1)) return false;
        for (const key of keys) {
          left.set(key, (left.get(key) ?? 0) - 1);
          spent.set(key, (spent.get(key) ?? 0) + 1);
        }
        granted.set(queueKey, (granted.get(queueKey) ?? 0) + 1);
        total++;
        return true;
      });
    }
  };
  for (const [priority, wanted] of byPriority(places)) share(wanted, urgencyOf(priority));
  return { granted, buckets: buckets.map((bucket) => spend(bucket, spent.get(bucket.key) ?? 0)) };
}

function byPriority(places: readonly DuePlace[]): [priority: number, places: DuePlace[]][] {
  const all = new Map<number, DuePlace[]>();
  for (const place of places) all.set(place.priority, [...(all.get(place.priority) ?? []), place]);
  return [...all].toSorted(([one], [other]) => one - other);
}
