import { DAY_MS, MINUTE_MS } from '../../values/time-units.js';
import { closesAt, isWholeWeek, opensAt, type OpenHours } from '../../values/week-hours.js';
import { timeZoneOr } from '../../values/zoned-time.js';
import { quotaFor, rateOf, refill, spend, utcDay, type Bucket } from './token-bucket.js';

/** Nobody plans further ahead; beyond it a bucket counts as one that lets nothing through. */
const LONGEST_MS = 3_650 * DAY_MS;
/** Parts of mails add up to a little more than the mails. */
const ROUNDING = 1e-6;

export interface Arrival {
  inMs: number;
  count: number;
  /** In which alone they go; null or left out: at any. */
  hours?: OpenHours | null | undefined;
}

/** What has come up of the mails with the same hours. */
interface Group {
  hours: OpenHours | null;
  waiting: number;
  isOpen: boolean;
  /** When that changes, and when it changed last, in milliseconds from the beginning. */
  untilMs: number;
  sinceMs: number;
}

/**
 * Milliseconds until the bucket, refilled now, has let all through that comes up, first come first served, in its hours; null:
 * never. `nowMs`: what readers' clocks are read by then. Goes from day to day and from hours to hours and not from mail to mail, so that a
 * million take no longer to count than one.
 */
export function passMs(
  bucket: Bucket,
  arrivals: readonly Arrival[],
  nowMs = bucket.refilledAtMs,
): number | null {
  const startMs = bucket.refilledAtMs;
  const ahead = arrivals.toSorted((a, b) => a.inMs - b.inMs).toReversed();
  const groups = new Map<string, Group>();
  let now = bucket;
  let atMs = 0;
  for (;;) {
    for (let next = ahead.at(-1); next !== undefined && next.inMs <= atMs; next = ahead.at(-1)) {
      groupOf(groups, next).waiting += next.count;
      ahead.pop();
    }
    const waiting = [...groups.values()].filter((group) => group.waiting > ROUNDING);
    for (const group of waiting) look(group, { nowMs, atMs });
    const open = waiting.filter(({ isOpen }) => isOpen).toSorted((a, b) => a.sinceMs - b.sinceMs);
    const arrivesMs = ahead.at(-1)?.inMs ?? Number.POSITIVE_INFINITY;
    if (waiting.length === 0 && arrivesMs === Number.POSITIVE_INFINITY) return atMs;
    const dayEndsMs = (Math.floor((startMs + atMs) / DAY_MS) + 1) * DAY_MS - startMs;
    const nextMs = Math.min(dayEndsMs, arrivesMs, ...waiting.map(({ untilMs }) => untilMs));
    const count = open.reduce((sum, group) => sum + group.waiting, 0);
    const today = count === 0 ? null : passedUntil(now, count, startMs + nextMs);
    if (today !== null) take(open, today.passed);
    const isThrough = today !== null && today.passed >= count - ROUNDING;
    now = isThrough ? today.bucket : refill(today?.bucket ?? now, startMs + nextMs);
    atMs = isThrough ? now.refilledAtMs - startMs : nextMs;
    if (atMs > LONGEST_MS) return null;
  }
}

function groupOf(groups: Map<string, Group>, { hours = null }: Arrival): Group {
  const isAlways = hours === null || isWholeWeek(hours.spans);
  const kept = isAlways ? null : { ...hours, timeZone: timeZoneOr(hours.timeZone, 'UTC').zone };
  const key = kept === null ? '' : JSON.stringify(kept);
  const known = groups.get(key);
  if (known !== undefined) return known;
  const untilMs = kept === null ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  const group = { hours: kept, waiting: 0, isOpen: true, untilMs, sinceMs: 0 };
  groups.set(key, group);
  return group;
}

/** Whether its hours are open by now, and until when. */
function look(group: Group, { nowMs, atMs }: { nowMs: number; atMs: number }): void {
  const { hours } = group;
  if (hours === null || group.untilMs > atMs) return;
  const at = new Date(nowMs + atMs);
  const opening = opensAt(hours, at);
  if (group.isOpen !== (opening === null)) group.sinceMs = atMs;
  group.isOpen = opening === null;
  const untilMs = (opening ?? closesAt(hours, at)).getTime() - nowMs;
  // Hours that a change of the clocks skips are open for a moment that is in none of them.
  group.untilMs = untilMs > atMs ? untilMs : atMs + MINUTE_MS;
}

function take(groups: readonly Group[], count: number): void {
  let left = count;
  for (const group of groups) {
    const taken = Math.min(left, group.waiting);
    group.waiting -= taken;
    left -= taken;
  }
}

/** What goes of `count` mails until `endMs` of the same day, and the bucket at the moment at which the last of it has gone. */
function passedUntil(bucket: Bucket, count: number, endMs: number): { passed: number; bucket: Bucket } {
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
