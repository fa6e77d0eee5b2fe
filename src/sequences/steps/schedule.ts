import { DomainError } from '../../values/domain-error.js';
import { addDuration, addToLocalDay, durationMs, isExact, type Duration } from '../../values/duration.js';
import {
  daySpans,
  everyDay,
  firstAllowed,
  intersect,
  minutesToAllowed,
  opensAt,
  outside,
  WHOLE_WEEK,
  windowSpans,
  type LocalSpan,
  type OpenHours,
  type SendWindow,
  type WeekSpan,
} from '../../values/week-hours.js';
import {
  instantOfLocalMs,
  localClockMs,
  parseLocalTime,
  startOfLocalDay,
  steadyLocalClockMs,
  WEEKDAYS,
  type Weekday,
} from '../../values/zoned-time.js';
import { beginOf, type Moment } from './moment.js';
import { MINUTE_MS, DAY_MS } from '../../values/time-units.js';

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

interface CompiledTiming {
  /** Minutes of the day, or null. */
  readonly atMinute: number | null;
  /** Allowed minutes of the week, sorted, without overlap; null when every minute is. */
  readonly allowed: readonly WeekSpan[] | null;
}

const SOON_BEHIND_MS = 6 * 60 * MINUTE_MS;

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

/**
 * As `nextDueAt`, of a step that people come to at `now`. Workers come some seconds late, and in which second must not make
 * a day of difference: the slot of this very minute is taken by what brought people here, and a delay beside `at` counts
 * from the minute's beginning. After `now` where there is an `at`.
 */
export function dueFrom(timing: StepTiming, now: Date, timeZone: string): Date {
  if (timing.at === undefined) return nextDueAt(timing, now, timeZone);
  const minute = new Date(Math.floor(now.getTime() / MINUTE_MS) * MINUTE_MS);
  const due = nextDueAt(timing, minute, timeZone);
  return due > now ? due : nextDueAt(timing, new Date(minute.getTime() + MINUTE_MS), timeZone);
}

/**
 * When a step that comes up at `now`, later than it was due, may run after all: at its next slot or opening; null when
 * `now` is as good. The delay and `until` are behind it. Where nothing but `at` says when, `now` is as good for six hours
 * behind it: what is asked for in the morning may go at noon, and not in the night.
 */
export function reopensAt(timing: StepTiming, now: Date, timeZone: string): Date | null {
  const { atMinute, allowed } = compiledTiming(timing);
  const opening = allowed === null ? null : opensAt({ spans: allowed, timeZone }, now);
  if (atMinute === null) return opening;
  const isOpen = allowed === null ? isSoonBehind(atMinute, now, timeZone) : opening === null;
  if (isOpen) return null;
  return new Date(firstSlot({ delay: undefined, atMinute, allowed }, now.getTime(), timeZone));
}

function isSoonBehind(atMinute: number, now: Date, timeZone: string): boolean {
  const local = localClockMs(now.getTime(), timeZone);
  const since = local - startOfLocalDay(local) - atMinute * MINUTE_MS;
  return (since + DAY_MS) % DAY_MS <= SOON_BEHIND_MS;
}

/** What weekdays, window and quiet hours leave of a week; null when that is all of it. */
export function openHours(timing: StepTiming, timeZone: string): OpenHours | null {
  const { allowed } = compiledTiming(timing);
  return allowed === null ? null : { spans: allowed, timeZone };
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
