import { daily, isWholeWeek, type WeekSpan } from '../values/week-hours.js';
import { parseLocalTime } from '../values/zoned-time.js';
import { hasHours, type Split } from './split.js';
import type { BroadcastTiming } from './timing.js';

/** A mail that could not come at its hour wakes nobody then. */
const DAY = { start: 8 * 60, end: 22 * 60 };
/** So long behind it a mail is still one of its hour: what is meant for 20:00 goes until 22:00, and for 23:00 until 01:00. */
const SOON_MINUTES = 120;

/**
 * The hours, on the reader's clock, in which a mail goes that something has kept behind its time: a limit of the day, the
 * frequency cap, a relay that was out. Those of the day, and for two hours whatever hour its owner has given it, with its place in the
 * spread and the delay of its arm. With `nextDay` not before the hour, which it then has on a later day, as behind a pause; arms with
 * hours of their own go by day, as their mails may get the words of another. Null where it goes at any: what has no hour, and what is
 * spread over most of the day.
 */
export function keptHours({
  timing,
  split,
}: {
  timing: BroadcastTiming | null;
  split: Split | null;
}): readonly WeekSpan[] | null {
  const local = timing?.local ?? null;
  if (timing === null || local === null) return null;
  const hour = parseLocalTime(local.atLocal.slice(-'09:30'.length));
  const ofArms = (split?.arms ?? []).map(({ at, delayMinutes = 0 }) =>
    at === undefined ? hour + delayMinutes : parseLocalTime(at),
  );
  const own = [hour, ...ofArms].map((start) => ({ start, end: start + timing.spreadMinutes + SOON_MINUTES }));
  const waitsForHour = local.ifPassed === 'nextDay' && (split === null || !hasHours(split));
  const byDay = waitsForHour ? { ...DAY, start: Math.max(DAY.start, hour) } : DAY;
  const spans = daily([...own, byDay]);
  return isWholeWeek(spans) ? null : spans;
}
