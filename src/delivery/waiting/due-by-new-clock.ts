import { opensAt, type OpenHours } from '../../values/week-hours.js';
import { DAY_MS } from '../../values/time-units.js';
import { instantOfLocalMs, localClockMs } from '../../values/zoned-time.js';

/** What waits for its reader, by their clock of before. */
export interface ClockMail {
  dueAt: Date;
  expiresAt: Date | null;
  /** It waits for its hours to open. */
  isClosed: boolean;
  /** It has not been tried, and waits for an hour on the reader's clock. */
  isAtHour: boolean;
  /** That is one of an arm, with which another is compared. */
  isOfArm: boolean;
}

/**
 * When a mail is due whose reader's clock has changed from `before` to that of its hours: when these open, or at the same
 * reading; where that has passed, at once as long as its hours are open, but at the hour of an arm a day later. Null: as it was, also where it would be of no use then.
 */
export function dueByNewClock(
  { dueAt, expiresAt, isClosed, isAtHour, isOfArm }: ClockMail,
  { before, hours, now }: { before: string; hours: OpenHours; now: Date },
): Date | null {
  if (isClosed) return opensAt(hours, now) ?? now;
  if (!isAtHour || dueAt <= now) return null;
  const reading = localClockMs(dueAt.getTime(), before);
  const on = (day: number): Date => new Date(instantOfLocalMs(reading + day * DAY_MS, hours.timeZone));
  const later = isOfArm ? on(1) : (opensAt(hours, now) ?? now);
  const due = on(0) >= now ? on(0) : later;
  return expiresAt !== null && due >= expiresAt ? null : due;
}
