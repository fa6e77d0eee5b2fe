import { zoneOffsets } from './zone-offsets.js';
import { parseLocalTime, startOfLocalDay, weekdayIndex, WEEKDAYS, type Weekday } from './zoned-time.js';
import { MINUTE_MS, HOUR_MS } from './time-units.js';

/** Local times of day; from `from` up to but not including `to`. When `to` is the smaller, it ends on the next day. */
export interface LocalSpan {
  readonly from: string;
  readonly to: string;
}

/** A span over midnight belongs to the day it starts on: `fri` 22:00 to 02:00 ends on Saturday. */
export interface SendWindow extends LocalSpan {
  readonly days: readonly Weekday[];
}

/** Half-open range of minutes of the week; 0 is Monday 00:00. */
export interface WeekSpan {
  readonly start: number;
  readonly end: number;
}

/** Hours of the week on somebody's own clock. */
export interface OpenHours {
  /** Sorted, without overlap. */
  readonly spans: readonly WeekSpan[];
  readonly timeZone: string;
}

const DAY_MINUTES = 1_440;
const WEEK_MINUTES = 7 * DAY_MINUTES;
export const WHOLE_WEEK: readonly WeekSpan[] = [{ start: 0, end: WEEK_MINUTES }];

/**
 * The first instant from `earliest` on whose local reading is allowed; the first instant after a gap also stands for the
 * readings that were skipped. Walks from one clock change to the next, because between two of them local time runs
 * evenly.
 */
export function firstAllowed(allowed: readonly WeekSpan[], earliest: number, timeZone: string): number {
  const offsets = zoneOffsets(timeZone);
  let instant = earliest;
  for (;;) {
    const local = instant + offsets.at(instant);
    const wait = waitMs(allowed, local);
    if (wait === 0) return instant;
    if (opensBefore(allowed, instant + offsets.at(instant - 1), local)) return instant;
    const changedAt = offsets.nextChange(instant, instant + wait);
    if (changedAt === null) return instant + wait;
    instant = changedAt;
  }
}

/** When the hours open next, from `at` on; null while they are open, also as hours that a change of the clocks skipped. */
export function opensAt({ spans, timeZone }: OpenHours, at: Date): Date | null {
  const opening = firstAllowed(spans, at.getTime(), timeZone);
  return opening === at.getTime() || isInSkipped(spans, at.getTime(), timeZone) ? null : new Date(opening);
}

/** When hours that are open at `at`, and not all of the week, close next. */
export function closesAt({ spans, timeZone }: OpenHours, at: Date): Date {
  const ends = [0, ...spans.map(({ end }) => end)];
  const starts = [...spans.map(({ start }) => start), WEEK_MINUTES];
  const closed = ends.map((start, place) => ({ start, end: starts[place] ?? start }));
  return new Date(
    firstAllowed(
      closed.filter(({ start, end }) => start < end),
      at.getTime(),
      timeZone,
    ),
  );
}

/**
 * Whether a clock that was not put forward would still show skipped hours that are allowed, or come to them: what is due
 * at the end of the gap, for them, is never looked at in that very millisecond. For an hour at most.
 */
function isInSkipped(allowed: readonly WeekSpan[], instant: number, timeZone: string): boolean {
  const offsets = zoneOffsets(timeZone);
  const changedAt = offsets.nextChange(instant - HOUR_MS, instant);
  if (changedAt === null) return false;
  const before = offsets.at(changedAt - 1);
  return opensBefore(allowed, instant + before, changedAt + offsets.at(changedAt));
}

function opensBefore(allowed: readonly WeekSpan[], local: number, end: number): boolean {
  return local < end && local + waitMs(allowed, local) < end;
}

/** Local milliseconds until the next allowed reading, 0 when `local` is one. */
function waitMs(allowed: readonly WeekSpan[], local: number): number {
  const minutes = minutesToAllowed(allowed, local);
  return minutes === 0 ? 0 : minutes * MINUTE_MS - (local - Math.floor(local / MINUTE_MS) * MINUTE_MS);
}

/** Whole minutes from the start of `local`'s minute to the next allowed one. */
export function minutesToAllowed(allowed: readonly WeekSpan[], local: number): number {
  const minuteOfDay = Math.floor((local - startOfLocalDay(local)) / MINUTE_MS);
  const minute = weekdayIndex(local) * DAY_MINUTES + minuteOfDay;
  const span = allowed.find((candidate) => minute < candidate.end);
  if (span !== undefined) return Math.max(0, span.start - minute);
  return (allowed[0]?.start ?? 0) + WEEK_MINUTES - minute;
}

export function daySpans(days: readonly Weekday[]): WeekSpan[] {
  return WEEKDAYS.flatMap((day, index) =>
    days.includes(day) ? [{ start: index * DAY_MINUTES, end: (index + 1) * DAY_MINUTES }] : [],
  );
}

export function windowSpans(window: SendWindow): WeekSpan[] {
  const [from, to] = [parseLocalTime(window.from), parseLocalTime(window.to)];
  return sorted(
    WEEKDAYS.flatMap((day, index) => {
      const start = index * DAY_MINUTES;
      if (!window.days.includes(day)) return [];
      return wrapped({ start: start + from, end: start + (to > from ? to : to + DAY_MINUTES) });
    }),
  );
}

/** The part of the week that is not in a daily span. */
export function outside(span: LocalSpan): WeekSpan[] {
  return windowSpans({ days: WEEKDAYS, from: span.to, to: span.from });
}

export function everyDay(start: number, end: number): WeekSpan[] {
  return WEEKDAYS.map((_, index) => ({ start: index * DAY_MINUTES + start, end: index * DAY_MINUTES + end }));
}

/** Each day from minute to minute of it, over midnight where the end is later than that; without overlap. */
export function daily(ranges: readonly WeekSpan[]): WeekSpan[] {
  const spans = ranges.flatMap(({ start, end }) => {
    const from = start % DAY_MINUTES;
    return everyDay(from, from + Math.min(end - start, DAY_MINUTES)).flatMap(wrapped);
  });
  return sorted(spans).reduce<WeekSpan[]>((joined, span) => {
    const last = joined.at(-1);
    if (span.end <= span.start) return joined;
    if (last === undefined || span.start > last.end) return [...joined, span];
    return [...joined.slice(0, -1), { start: last.start, end: Math.max(last.end, span.end) }];
  }, []);
}

export function isWholeWeek([span]: readonly WeekSpan[]): boolean {
  return span?.start === 0 && span.end === WEEK_MINUTES;
}

/** Sunday's part after midnight is Monday's first minutes. */
function wrapped(span: WeekSpan): WeekSpan[] {
  if (span.end <= WEEK_MINUTES) return [span];
  const rest = { start: 0, end: span.end - WEEK_MINUTES };
  return rest.end > 0
    ? [{ start: span.start, end: WEEK_MINUTES }, rest]
    : [{ start: span.start, end: WEEK_MINUTES }];
}

function sorted(spans: readonly WeekSpan[]): WeekSpan[] {
  return spans.toSorted((a, b) => a.start - b.start);
}

export function intersect(a: readonly WeekSpan[], b: readonly WeekSpan[]): WeekSpan[] {
  return a.flatMap((one) =>
    b
      .map((other) => ({ start: Math.max(one.start, other.start), end: Math.min(one.end, other.end) }))
      .filter((span) => span.start < span.end),
  );
}
