import { parseLocalTime, WEEKDAYS } from '../values/zoned-time.js';
import { windowSpans, type WeekSpan } from '../values/week-hours.js';
import { hasHours, type Split } from './split.js';
import { SOON_BEHIND_MS, type BroadcastTiming } from './timing.js';
import { MINUTE_MS } from '../values/time-units.js';

const DAY_MINUTES = 1_440;
/** Until then readers are awake who could not have their mail at its hour. */
const EVENING_MINUTES = 22 * 60;

/**
 * The hours, on the reader's clock, in which a mail goes that something has kept behind its time: a limit of the day, the
 * frequency cap, a relay that was out. From the hour of the broadcast until six hours behind it and its spread, or until the
 * evening where that is later; then it waits for the same hour of the next day. Null where it goes at any: what has no hour,
 * or is wanted at once where that has passed, what is spread over most of the day, and a split test whose arms have their own,
 * as its mails may get the words of another.
 */
export function keptHours({
  timing,
  split,
}: {
  timing: BroadcastTiming | null;
  split: Split | null;
}): WeekSpan[] | null {
  const local = timing?.local ?? null;
  if (timing === null || local === null || local.ifPassed !== 'nextDay') return null;
  if (split !== null && hasHours(split)) return null;
  const from = local.atLocal.slice(-'09:30'.length);
  const hour = parseLocalTime(from);
  const delays = split?.arms.map(({ delayMinutes = 0 }) => delayMinutes) ?? [];
  const last = hour + timing.spreadMinutes + Math.max(0, ...delays);
  const end = Math.max(EVENING_MINUTES, last + SOON_BEHIND_MS / MINUTE_MS);
  return end - hour >= DAY_MINUTES ? null : windowSpans({ days: WEEKDAYS, from, to: timeOfDay(end) });
}

function timeOfDay(minutes: number): string {
  const two = (count: number): string => String(count).padStart(2, '0');
  return `${two(Math.floor(minutes / 60) % 24)}:${two(minutes % 60)}`;
}
