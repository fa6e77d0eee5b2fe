import { instantOfLocalMs, localClockMs, startOfLocalDay } from '../values/zoned-time.js';
import type { TimeWindow } from './condition.js';
import { DAY_MS } from '../values/time-units.js';

const DAY = /^\d{4}-\d{2}-\d{2}$/;

/**
 * By what segments count days: those of the owner, who asks, and not of the server or of each reader. A day has 23, 24 or
 * 25 hours.
 */
export interface OwnerClock {
  now: Date;
  /** IANA. */
  zone: string;
}

/** Of the day that lies so many days from today, such as `2026-03-02`. */
export function dayFromToday(days: number, { now, zone }: OwnerClock): string {
  const today = startOfLocalDay(localClockMs(now.getTime(), zone));
  return new Date(today + days * DAY_MS).toISOString().slice(0, 10);
}

/** The bounds of a window as instants: from the first on, before the second. "In the last 30 days" is today and 30 before it. */
export function boundsOf(
  { withinDays, since, until }: TimeWindow,
  clock: OwnerClock,
): { from: string | undefined; until: string | undefined } {
  const from = withinDays === undefined ? since : dayFromToday(-withinDays, clock);
  return { from: from && instantOf(from, clock.zone), until: until && instantOf(until, clock.zone) };
}

/** When a day begins. Where midnight is skipped it is the first moment behind it; of two midnights the first. */
function instantOf(given: string, zone: string): string {
  return DAY.test(given)
    ? new Date(instantOfLocalMs(Date.parse(`${given}T00:00:00Z`), zone)).toISOString()
    : given;
}
