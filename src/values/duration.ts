import { DomainError } from './domain-error.js';
import { instantOfLocalMs, startOfLocalDay, steadyLocalClockMs } from './zoned-time.js';
import { MINUTE_MS, HOUR_MS, DAY_MS } from './time-units.js';

export const DURATION_UNITS = ['minutes', 'hours', 'days', 'weeks', 'months'] as const;
type DurationUnit = (typeof DURATION_UNITS)[number];

/** `value` is whole and not negative. */
export interface Duration {
  readonly value: number;
  readonly unit: DurationUnit;
}

/** A calendar span can exceed its days by clocks put back on the way. */
const CLOCK_CHANGE_MS = 3 * HOUR_MS;
const LONGEST_MONTH_DAYS = 31;
/** Ten years in the unit: longer is a typing mistake, and keeps every sum a valid Date. */
const MAX_VALUE: Readonly<Record<DurationUnit, number>> = {
  minutes: 5_259_600,
  hours: 87_660,
  days: 3_652,
  weeks: 521,
  months: 120,
};
const DURATION_TEXT = /^(\d{1,50}) *(minute|hour|day|week|month)s?$/i;

/**
 * Reads `2 days`, `1 hour`, `90 minutes`, `3 weeks`, `2 months`, `0 days`: a whole number and a unit, at most ten
 * years. Throws `DURATION_INVALID`.
 */
export function parseDuration(text: string): Duration {
  const match = DURATION_TEXT.exec(text.trim());
  const value = Number(match?.[1]);
  const unit = DURATION_UNITS.find((known) => known === `${match?.[2]?.toLowerCase()}s`);
  if (!match || unit === undefined) {
    throw durationInvalid(
      text,
      `write a whole number and one of ${DURATION_UNITS.join(', ')}, such as 2 days`,
    );
  }
  if (value > MAX_VALUE[unit]) {
    throw durationInvalid(text, `at most ten years are allowed, that is ${MAX_VALUE[unit]} ${unit}`);
  }
  return { value, unit };
}

/** As `parseDuration`, of what must last: none is refused. Throws `DURATION_INVALID`. */
export function parseSpan(text: string): Duration {
  const duration = parseDuration(text);
  if (duration.value === 0) throw durationInvalid(text, 'write one above zero, such as 2 days');
  return duration;
}

/** `1 day`, `2 days`; `parseDuration` reads it back. */
export function durationText(duration: Duration): string {
  return `${duration.value} ${duration.value === 1 ? duration.unit.slice(0, -1) : duration.unit}`;
}

/** Whether the span is the same number of milliseconds everywhere: minutes and hours are, days and longer follow the calendar. */
export function isExact(duration: Duration): boolean {
  return duration.unit === 'minutes' || duration.unit === 'hours';
}

/**
 * Milliseconds: exact for minutes and hours; for days, weeks and months the longest the span can last anywhere (months
 * of 31 days, clocks put back on the way). For bounds such as how long to keep a row, never for a due time.
 */
export function durationMs(duration: Duration): number {
  if (duration.unit === 'minutes') return duration.value * MINUTE_MS;
  if (duration.unit === 'hours') return duration.value * HOUR_MS;
  if (duration.value === 0) return 0;
  const days = { days: 1, weeks: 7, months: LONGEST_MONTH_DAYS }[duration.unit] * duration.value;
  return days * DAY_MS + CLOCK_CHANGE_MS;
}

/**
 * `from` plus the span. Minutes and hours are elapsed time; days, weeks and months keep the reading of the zone's clock
 * (a month ends on its last day: 31 January plus a month is the end of February). A reading skipped in spring runs at
 * the end of the gap. A start in the second pass of a repeated autumn hour counts as the end of that hour, which keeps
 * days and weeks in order: a later `from` never gives an earlier result.
 * Throws `TIME_ZONE_INVALID` when a calendar span needs a zone Intl does not know.
 */
export function addDuration(from: Date, duration: Duration, zone: string): Date {
  const start = from.getTime();
  if (isExact(duration) || duration.value === 0) return new Date(start + durationMs(duration));
  const local = steadyLocalClockMs(start, zone);
  const day = startOfLocalDay(local);
  return new Date(instantOfLocalMs(addToLocalDay(day, duration) + (local - day), zone));
}

/** Calendar arithmetic on a local midnight (epoch milliseconds of the local reading); `duration` in days or longer. */
export function addToLocalDay(localDay: number, duration: Duration): number {
  if (duration.unit !== 'months')
    return localDay + duration.value * (duration.unit === 'weeks' ? 7 : 1) * DAY_MS;
  const day = new Date(localDay);
  const month = day.getUTCMonth() + duration.value;
  // Day 0 of the month after is the last day of the month we want.
  const lastDay = new Date(Date.UTC(day.getUTCFullYear(), month + 1, 0)).getUTCDate();
  return Date.UTC(day.getUTCFullYear(), month, Math.min(day.getUTCDate(), lastDay));
}

function durationInvalid(value: string, allowed: string): DomainError {
  return new DomainError('DURATION_INVALID', `"${value}" is not a duration: ${allowed}`, { value });
}
