import { DomainError } from './domain-error.js';
import { zoneOffsets } from './zone-offsets.js';
import { HOUR_MS, DAY_MS } from './time-units.js';

export const WEEKDAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type Weekday = (typeof WEEKDAYS)[number];

/** Local clocks run from UTC-12 to UTC+14; one hour of slack each way. */
const FARTHEST_EAST_MS = 15 * HOUR_MS;
const FARTHEST_WEST_MS = 13 * HOUR_MS;
/** No clock is put back further in modern data: Antarctica/Troll goes back two hours, all others one or less. */
const LONGEST_REPEAT_MS = 3 * HOUR_MS;
const ZONE_NAME = /^[A-Za-z][A-Za-z0-9_+/-]{0,63}$/;
/** Names come from subscribers' browsers and imports, so the cache has an end. */
const MAX_CACHED_NAMES = 2_000;
const LOCAL_TIME = /^([01]\d|2[0-3]):([0-5]\d)$/;

const canonicalNames = new Map<string, string | null>();

/** Whether Intl knows this IANA name (any letter case, old names included). Bare offsets such as `+02:00` are not zones. */
export function isTimeZone(name: string): boolean {
  return canonicalTimeZone(name) !== null;
}

/** The spelling Intl prefers (`us/eastern` → `America/New_York`), or null when it is not a zone. */
export function canonicalTimeZone(name: string): string | null {
  const known = canonicalNames.get(name);
  if (known !== undefined) return known;
  const canonical = ZONE_NAME.test(name) ? askIntl(name) : null;
  if (canonicalNames.size >= MAX_CACHED_NAMES) canonicalNames.clear();
  canonicalNames.set(name, canonical);
  return canonical;
}

/** The zone to use for a subscriber who has none, or one that no longer exists. `fallback` must be a zone. */
export function timeZoneOr(name: string | null, fallback: string): { zone: string; fellBack: boolean } {
  const zone = name === null ? null : canonicalTimeZone(name);
  return zone === null ? { zone: fallback, fellBack: true } : { zone, fellBack: false };
}

/** `09:30` → 570 minutes of the day; 00:00 to 23:59, two digits each, else `LOCAL_TIME_INVALID`. */
export function parseLocalTime(text: string): number {
  const match = LOCAL_TIME.exec(text);
  if (!match) {
    throw new DomainError(
      'LOCAL_TIME_INVALID',
      `"${text}" is not a time of day: write hours and minutes from 00:00 to 23:59, such as 09:30`,
      { value: text },
    );
  }
  return Number(match[1]) * 60 + Number(match[2]);
}

/** What the zone's clock shows at an instant, as if that reading were UTC (epoch milliseconds on both sides). */
export function localClockMs(instant: number, zone: string): number {
  return instant + zoneOffsets(zone).at(instant);
}

/**
 * As `localClockMs`, but while an hour is repeated in autumn it stands still at the last millisecond the clock showed
 * before it was put back. Calendar arithmetic starts from this reading, so that a later start never ends up earlier.
 */
export function steadyLocalClockMs(instant: number, zone: string): number {
  const offsets = zoneOffsets(zone);
  const offset = offsets.at(instant);
  const earlier = offsets.at(instant - LONGEST_REPEAT_MS);
  if (earlier <= offset) return instant + offset;
  const changedAt = offsets.nextChange(instant - LONGEST_REPEAT_MS, instant) ?? instant;
  return Math.max(instant + offset, changedAt + earlier - 1);
}

/** The inverse of `localClockMs`; a skipped reading gives the end of the gap, a repeated one its first occurrence. */
export function instantOfLocalMs(local: number, zone: string): number {
  const offsets = zoneOffsets(zone);
  const [low, high] = [local - FARTHEST_EAST_MS, local + FARTHEST_WEST_MS];
  const [before, after] = [offsets.at(low), offsets.at(high)];
  if (before === after) return local - before;
  const changedAt = offsets.nextChange(low, high) ?? high;
  if (local - before < changedAt) return local - before;
  return Math.max(local - after, changedAt);
}

/** Midnight of the local day, on the same local scale. */
export function startOfLocalDay(local: number): number {
  return Math.floor(local / DAY_MS) * DAY_MS;
}

/** 0 for Monday to 6 for Sunday, as in `WEEKDAYS`, of a local reading. */
export function weekdayIndex(local: number): number {
  const day = (Math.floor(local / DAY_MS) + 3) % 7;
  return day < 0 ? day + 7 : day;
}

function askIntl(name: string): string | null {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone;
  } catch {
    return null; // Intl has no other way to say that it does not know a zone.
  }
}
