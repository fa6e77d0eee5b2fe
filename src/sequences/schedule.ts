import { DomainError } from '../values/domain-error.js';
import { addDuration, addToLocalDay, durationMs, isExact, type Duration } from '../values/duration.js';
import { zoneOffsets } from '../values/zone-offsets.js';
import { beginOf, type Moment } from './moment.js';
import {
  instantOfLocalMs,
  parseLocalTime,
  startOfLocalDay,
  steadyLocalClockMs,
  weekdayIndex,
  WEEKDAYS,
  type Weekday,
} from '../values/zoned-time.js';

/** Local times of day; from `from` up to but not including `to`. When `to` is the smaller, it ends on the next day. */
export interface LocalSpan {
  readonly from: string;
  readonly to: string;
}

/** A span over midnight belongs to the day it starts on: `fri` 22:00 to 02:00 ends on Saturday. */
export interface SendWindow extends LocalSpan {
  readonly days: readonly Weekday[];
}

/** When a step may run. All local times are read on the subscriber's clock. Treated as immutable once used. */
export interface StepTiming {
  readonly delay?: Duration | undefined;
  readonly at?: string | undefined;
  readonly onDays?: readonly Weekday[] | undefined;
  readonly window?: SendWindow | undefined;
  readonly quietHours?: LocalSpan | undefined;
  /** Not before this; takes the place of a delay. */
  readonly until?: Moment | undefined;
}

/** Half-open range of minutes of the week; 0 is Monday 00:00. */
interface WeekSpan {
  readonly start: number;
  readonly end: number;
}

interface CompiledTiming {
  /** Minutes of the day, or null. */
  readonly atMinute: number | null;
  /** Allowed minutes of the week, sorted, without overlap; null when every minute is. */
  readonly allowed: readonly WeekSpan[] | null;
}

const MINUTE_MS = 60_000;
const DAY_MINUTES = 1_440;
const DAY_MS = DAY_MINUTES * MINUTE_MS;
const WEEK_MINUTES = 7 * DAY_MINUTES;
const WHOLE_WEEK: readonly WeekSpan[] = [{ start: 0, end: WEEK_MINUTES }];

const compiled = new WeakMap<StepTiming, CompiledTiming>();

/**
 * When a step is due, in UTC: `asked` plus the delay (or the later of `asked` and `until`), then `at`, then the first
 * instant that weekdays, window and quiet hours allow. Never before `asked`.
 *
 * - With `at` there is one slot a local day. A delay in days, weeks or months picks the day by the calendar, not by
 *   elapsed hours: two days after Monday 22:00 at 09:30 is Wednesday 09:30.
 * - A local time skipped in spring runs at the first instant after the gap; one repeated in autumn runs the first time.
 * - The same input gives the same result, and a later `asked` never an earlier one, except that months ending on a
 *   shorter month's last day share that day.
 *
 * Throws `SCHEDULE_IMPOSSIBLE` when no instant can ever match (`checkTiming` says why) and `TIME_ZONE_INVALID`.
 */
export function nextDueAt(timing: StepTiming, asked: Date, timeZone: string): Date {
  const { atMinute, allowed } = compiledTiming(timing);
  const { delay, until } = timing;
  const from = until === undefined ? asked : later(asked, beginOf(until, timeZone));
  if (atMinute !== null) return new Date(firstSlot({ delay, atMinute, allowed }, from.getTime(), timeZone));
  const earliest = delay === undefined ? from.getTime() : addDelay(delay, from, timeZone);
  return new Date(allowed === null ? earliest : firstAllowed(allowed, earliest, timeZone));
}

/** Contradictions in a timing, each a sentence naming the field; empty when it can run. */
export function checkTiming(timing: StepTiming): string[] {
  const problems = fieldProblems(timing);
  if (problems.length > 0) return problems;
  const { at, onDays, window, quietHours } = timing;
  const awake = quietHours === undefined ? WHOLE_WEEK : outside(quietHours);
  const open = window === undefined ? WHOLE_WEEK : windowSpans(window);
  const days = onDays === undefined ? WHOLE_WEEK : daySpans(onDays);
  const atSpans = at === undefined ? WHOLE_WEEK : everyDay(parseLocalTime(at), parseLocalTime(at) + 1);
  if (at !== undefined && intersect(atSpans, open).length === 0)
    problems.push(`at: ${at} lies outside the window`);
  if (at !== undefined && intersect(atSpans, awake).length === 0)
    problems.push(`at: ${at} lies inside the quiet hours`);
  if (intersect(days, open).length === 0) problems.push('onDays: none of these days is open in the window');
  if (intersect(open, awake).length === 0) problems.push('quietHours: they cover the whole window');
  const all = [open, awake, days].reduce(intersect, atSpans);
  if (problems.length === 0 && all.length === 0) {
    problems.push('onDays: no time is left between at, onDays, window and quietHours');
  }
  return problems;
}

function fieldProblems(timing: StepTiming): string[] {
  const { delay, at, onDays, window, quietHours, until } = timing;
  const delayIsWhole = delay === undefined || (Number.isSafeInteger(delay.value) && delay.value >= 0);
  return [
    ...(delayIsWhole ? [] : ['delay: use a whole number from 0']),
    ...(delay === undefined || until === undefined ? [] : ['until: it says when, so leave out the delay']),
    ...(at === undefined ? [] : localTimeProblems('at', at)),
    ...(onDays === undefined ? [] : dayProblems('onDays', onDays)),
    ...(window === undefined
      ? []
      : [...dayProblems('window.days', window.days), ...spanProblems('window', window)]),
    ...(quietHours === undefined ? [] : spanProblems('quietHours', quietHours)),
  ];
}

function dayProblems(field: string, days: readonly Weekday[]): string[] {
  if (days.length === 0) return [`${field}: name at least one of ${WEEKDAYS.join(', ')}`];
  return days
    .filter((day) => !WEEKDAYS.includes(day))
    .map((day) => `${field}: "${day}" is not one of ${WEEKDAYS.join(', ')}`);
}

function spanProblems(field: string, span: LocalSpan): string[] {
  const problems = [
    ...localTimeProblems(`${field}.from`, span.from),
    ...localTimeProblems(`${field}.to`, span.to),
  ];
  if (problems.length > 0 || span.from !== span.to) return problems;
  return [
    field === 'window'
      ? 'window: from and to are the same, so it is empty; leave the window out to send at any time'
      : 'quietHours: from and to are the same; they must leave a part of the day',
  ];
}

function localTimeProblems(field: string, text: string): string[] {
  try {
    parseLocalTime(text);
    return [];
  } catch (error) {
    if (error instanceof DomainError) return [`${field}: ${error.message}`];
    throw error;
  }
}

function compiledTiming(timing: StepTiming): CompiledTiming {
  const known = compiled.get(timing);
  if (known) return known;
  const problems = checkTiming(timing);
  if (problems.length > 0) throw new DomainError('SCHEDULE_IMPOSSIBLE', problems.join('; '), { problems });
  const { at, onDays, window, quietHours } = timing;
  const spans = [
    ...(onDays === undefined ? [] : [daySpans(onDays)]),
    ...(window === undefined ? [] : [windowSpans(window)]),
    ...(quietHours === undefined ? [] : [outside(quietHours)]),
  ];
  const result: CompiledTiming = {
    atMinute: at === undefined ? null : parseLocalTime(at),
    allowed: spans.length === 0 ? null : spans.reduce(intersect),
  };
  compiled.set(timing, result);
  return result;
}

function later(a: Date, b: Date): Date {
  return a > b ? a : b;
}

function addDelay(delay: Duration, from: Date, timeZone: string): number {
  return isExact(delay) ? from.getTime() + durationMs(delay) : addDuration(from, delay, timeZone).getTime();
}

/** The first daily slot at `atMinute` that is neither before the delay is over nor on a day that is not allowed. */
function firstSlot(
  timing: { delay: Duration | undefined; atMinute: number; allowed: readonly WeekSpan[] | null },
  from: number,
  timeZone: string,
): number {
  const { delay, atMinute, allowed } = timing;
  const byCalendar = delay !== undefined && !isExact(delay);
  const earliest = delay === undefined || byCalendar ? from : from + durationMs(delay);
  const startDay = startOfLocalDay(steadyLocalClockMs(earliest, timeZone));
  const firstDay = byCalendar ? addToLocalDay(startDay, delay) : startDay;
  // Eight days hold every weekday once more after a first day whose slot has passed; a skipped day adds none.
  for (let count = 0; count <= 8; count += 1) {
    const slot = firstDay + count * DAY_MS + atMinute * MINUTE_MS;
    if (allowed !== null && minutesToAllowed(allowed, slot) > 0) continue;
    const instant = instantOfLocalMs(slot, timeZone);
    if (instant >= earliest) return instant;
  }
  throw new DomainError('SCHEDULE_IMPOSSIBLE', 'no day of the week allows this time');
}

/**
 * The first instant from `earliest` on whose local reading is allowed; the first instant after a gap also stands for the
 * readings that were skipped. Walks from one clock change to the next, because between two of them local time runs
 * evenly.
 */
function firstAllowed(allowed: readonly WeekSpan[], earliest: number, timeZone: string): number {
  const offsets = zoneOffsets(timeZone);
  let instant = earliest;
  for (;;) {
    const local = instant + offsets.at(instant);
    const wait = waitMs(allowed, local);
    if (wait === 0) return instant;
    const skippedFrom = instant + offsets.at(instant - 1);
    if (skippedFrom < local && skippedFrom + waitMs(allowed, skippedFrom) < local) return instant;
    const changedAt = offsets.nextChange(instant, instant + wait);
    if (changedAt === null) return instant + wait;
    instant = changedAt;
  }
}

/** Local milliseconds until the next allowed reading, 0 when `local` is one. */
function waitMs(allowed: readonly WeekSpan[], local: number): number {
  const minutes = minutesToAllowed(allowed, local);
  return minutes === 0 ? 0 : minutes * MINUTE_MS - (local - Math.floor(local / MINUTE_MS) * MINUTE_MS);
}

/** Whole minutes from the start of `local`'s minute to the next allowed one. */
function minutesToAllowed(allowed: readonly WeekSpan[], local: number): number {
  const minuteOfDay = Math.floor((local - startOfLocalDay(local)) / MINUTE_MS);
  const minute = weekdayIndex(local) * DAY_MINUTES + minuteOfDay;
  const span = allowed.find((candidate) => minute < candidate.end);
  if (span !== undefined) return Math.max(0, span.start - minute);
  return (allowed[0]?.start ?? 0) + WEEK_MINUTES - minute;
}

function daySpans(days: readonly Weekday[]): WeekSpan[] {
  return WEEKDAYS.flatMap((day, index) =>
    days.includes(day) ? [{ start: index * DAY_MINUTES, end: (index + 1) * DAY_MINUTES }] : [],
  );
}

function windowSpans(window: SendWindow): WeekSpan[] {
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
function outside(span: LocalSpan): WeekSpan[] {
  return windowSpans({ days: WEEKDAYS, from: span.to, to: span.from });
}

function everyDay(start: number, end: number): WeekSpan[] {
  return WEEKDAYS.map((_, index) => ({ start: index * DAY_MINUTES + start, end: index * DAY_MINUTES + end }));
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

function intersect(a: readonly WeekSpan[], b: readonly WeekSpan[]): WeekSpan[] {
  return a.flatMap((one) =>
    b
      .map((other) => ({ start: Math.max(one.start, other.start), end: Math.min(one.end, other.end) }))
      .filter((span) => span.start < span.end),
  );
}
