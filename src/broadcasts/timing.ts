import { DomainError } from '../values/domain-error.js';
import { instantOfLocalMs, timeZoneOr } from '../values/zoned-time.js';
import { MINUTE_MS, HOUR_MS, DAY_MS } from '../values/time-units.js';

export const IF_PASSED = ['nextDay', 'send', 'skip'] as const;
/** What becomes of those whose clock is past the hour when the broadcast begins: the same hour a day later, at once, or nothing. */
export type IfPassed = (typeof IF_PASSED)[number];

/** The same reading of every recipient's own clock. */
export interface LocalHour {
  /** Day and time of day, such as `2026-03-05T09:30`. */
  atLocal: string;
  /** For those whose zone is not known; an IANA name. */
  fallbackZone: string;
  ifPassed: IfPassed;
  /** One clock that counts for all of them; left out: each reader's own. */
  timezone?: string;
}

/** When each mail of a broadcast is due. */
export interface BroadcastTiming {
  /** Null: the same instant for everybody. */
  local: LocalHour | null;
  /** The mails are spread evenly over so many minutes; 0: all at once. */
  spreadMinutes: number;
  /** Of an arm of a split test that goes so much later. */
  delayMinutes?: number;
}

/** When an arm of a split test goes, where that is not when the others do. */
export interface ArmTime {
  /** Its time of day. */
  at?: string | undefined;
  delayMinutes?: number | undefined;
}

export const AT_ONCE: BroadcastTiming = { local: null, spreadMinutes: 0 };

/** When one mail is due, as the ledger keeps it. */
export interface MailTime {
  dueAt: Date;
  /** When it would have been due, had the broadcast not begun late: what overdue mails and restored backups are judged by. */
  plannedFor: Date | null;
  /** The hour has passed and the owner wants no mail after it: never to be sent. */
  tooLate: boolean;
  /** The recipient's zone is not known. */
  fellBack: boolean;
  /** The recipient's clock was past the hour. */
  passed: boolean;
}

/** A mail that is due so long before it expires can be sent. */
export const EXPIRY_MARGIN_MS = 300_000;
/** No clock on earth is further ahead or further behind. */
const FARTHEST_EAST_MS = 14 * HOUR_MS;
const FARTHEST_WEST_MS = 12 * HOUR_MS;
/** A mail that goes so long behind its hour goes at no wrong time of day; as sequences have it. */
export const SOON_BEHIND_MS = 6 * HOUR_MS;
/** A planner that looks every few seconds is no outage. */
const LATE_MS = 60_000;
/** Multiples of it, without their whole part, fill the unit interval more evenly than chance, however many there are. */
const GOLDEN = 0.618_033_988_749_894_9;
const LOCAL = /^\d{4}-\d\d-\d\dT\d\d:\d\d$/;

/** Whether it is a day of the calendar and a time of day, such as `2026-03-05T09:30`. */
export function isLocalReading(atLocal: string): boolean {
  const ms = LOCAL.test(atLocal) ? readingMs(atLocal) : Number.NaN;
  // 30 February is a date to nobody, but JavaScript reads it as 2 March.
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(atLocal);
}

/** Epoch milliseconds of a local reading as if it were UTC. Throws `BROADCAST_TIMING_INVALID`. */
export function localMs(atLocal: string): number {
  if (isLocalReading(atLocal)) return readingMs(atLocal);
  throw new DomainError(
    'BROADCAST_TIMING_INVALID',
    `atLocal: "${atLocal}" is no local time: write day and time of day such as 2026-03-05T09:30`,
    { field: 'atLocal' },
  );
}

function readingMs(atLocal: string): number {
  return Date.parse(`${atLocal}:00.000Z`);
}

export interface Start {
  at: Date | null;
  now: Date;
  expiresAt: Date | null;
  /** How long a split test waits between its last mail and its decision; left out: there is no test. */
  waitMinutes?: number | undefined;
  /** It expires by the end of a price that its mails tell. */
  priceEnds?: boolean;
  /** Of a split test. */
  arms?: readonly ArmTime[];
  /** An arm of it may be stopped. */
  hasRails?: boolean;
}

/** The timing of an arm: the same day, and where it has an hour or a delay of its own by that. */
export function timingAt(timing: BroadcastTiming, arm: ArmTime | undefined): BroadcastTiming {
  const { local } = timing;
  const { at, delayMinutes } = arm ?? {};
  if (delayMinutes !== undefined) return { ...timing, delayMinutes };
  if (at === undefined || local === null) return timing;
  return { ...timing, local: { ...local, atLocal: `${local.atLocal.slice(0, 10)}T${at}` } };
}

/**
 * When a broadcast begins that is started at `now`: at the time the owner names, at once, or when the first clock on
 * earth shows the hour, the earliest where arms have their own. Throws `BROADCAST_TIMING_INVALID` and
 * `BROADCAST_EXPIRY_INVALID` for one that can never reach all its readers.
 */
export function beginOf(timing: BroadcastTiming, start: Start): Date {
  const { at, now, expiresAt, waitMinutes, arms = [], hasRails = false } = start;
  const { local } = timing;
  if (local === null && at !== null && now.getTime() - at.getTime() > LATE_MS)
    throw refusal('at', `${at.toISOString()} has passed; use a time to come, or leave it out for now`);
  if (waitMinutes !== undefined && local?.ifPassed === 'skip')
    throw refusal(
      'ifPassed',
      'when a split test is decided every clock is past the hour, so skip would leave out all the rest; use nextDay or send',
    );
  const hasHours = arms.some((arm) => arm.at !== undefined);
  if (hasHours) checkHours(timing);
  const timings = arms.length === 0 ? [timing] : arms.map((arm) => timingAt(timing, arm));
  const begins = new Date(Math.min(...timings.map((one) => beginMs(one, at, now))));
  // What an arm has not sent when it is stopped goes at the next hour of another, which may be a day later.
  const movedMs = hasHours && hasRails ? DAY_MS : 0;
  const lastDueAt = new Date(lastDue(timings, begins, waitMinutes).getTime() + movedMs);
  if (expiresAt !== null && expiresAt <= lastDueAt) {
    const [field, ends] =
      start.priceEnds === true ? ['offer.until', 'its price would end'] : ['expiresAt', 'it would expire'];
    const message =
      begins < lastDueAt
        ? `${ends} before the last of its mails is due, at ${lastDueAt.toISOString()}`
        : `${ends} before it starts`;
    throw new DomainError('BROADCAST_EXPIRY_INVALID', message, { field });
  }
  return begins;
}

function refusal(field: string, message: string): DomainError {
  return new DomainError('BROADCAST_TIMING_INVALID', `${field}: ${message}`, { field });
}

/** Arms that go at their hour can do so only where nothing else says when a mail goes. */
function checkHours({ local, spreadMinutes }: BroadcastTiming): void {
  if (local === null)
    throw refusal(
      'atLocal',
      'arms of the split test have an hour of their own, so the day is wanted: give atLocal, such as 2026-03-05T09:30, in place of at or now',
    );
  if (spreadMinutes > 0)
    throw refusal('spreadMinutes', 'arms with an hour of their own go at that hour; leave it out, or give 0');
  if (local.ifPassed !== 'nextDay')
    throw refusal(
      'ifPassed',
      `${local.ifPassed} would send the arms at another hour than their own, or leave out the later ones; with hours only nextDay is allowed`,
    );
}

/** By whose clock a mail goes, and whether that is for want of the reader's own. */
export function clockOf(
  { timezone, fallbackZone }: LocalHour,
  timeZone: string | null,
): { zone: string; fellBack: boolean } {
  return timezone === undefined ? timeZoneOr(timeZone, fallbackZone) : { zone: timezone, fellBack: false };
}

/** The first and the last instant at which a clock that counts shows the reading. */
function instantsOf({ atLocal, timezone }: LocalHour): [first: number, last: number] {
  const reading = localMs(atLocal);
  if (timezone === undefined) return [reading - FARTHEST_EAST_MS, reading + FARTHEST_WEST_MS];
  const instant = instantOfLocalMs(reading, timezone);
  return [instant, instant];
}

function beginMs({ local }: BroadcastTiming, at: Date | null, now: Date): number {
  if (local === null) return (at ?? now).getTime();
  const [first, last] = instantsOf(local);
  if (last >= now.getTime()) return Math.max(now.getTime(), first);
  const { timezone } = local;
  const where = timezone === undefined ? 'everywhere on earth' : `in ${timezone}`;
  throw refusal('atLocal', `that hour has passed ${where}`);
}

/** No mail of the broadcast is due after it, as long as it begins in time and nothing holds it up. */
function lastDue(timings: readonly BroadcastTiming[], begins: Date, waitMinutes: number | undefined): Date {
  const ends = timings.map(({ local, spreadMinutes, delayMinutes = 0 }) => {
    const spreadMs = (spreadMinutes + delayMinutes) * MINUTE_MS;
    const dayMs = local?.ifPassed === 'nextDay' ? DAY_MS : 0;
    if (local === null) return { last: begins.getTime() + spreadMs, dayMs, spreadMs };
    const [first, last] = instantsOf(local);
    const someArePast = begins.getTime() > first;
    const latest = Math.max(last, someArePast ? begins.getTime() + dayMs : begins.getTime());
    return { last: latest + spreadMs, dayMs, spreadMs };
  });
  const last = Math.max(...ends.map((one) => one.last));
  if (waitMinutes === undefined) return new Date(last);
  // The rest gets its mail as if the broadcast had begun with the decision.
  const again = Math.max(...ends.map(({ dayMs, spreadMs }) => dayMs + spreadMs));
  return new Date(last + waitMinutes * MINUTE_MS + again);
}

/**
 * When the mail of one recipient is due. `position` counts the recipients of the broadcast: the spread gives each the
 * place that leaves the gaps even at any time. `scheduledAt` is when the broadcast was to begin, `startedAt` when it did.
 *
 * A local time that is skipped in spring gives the first instant after the gap, one that is repeated the first.
 */
export function mailTime(
  { local, spreadMinutes, delayMinutes = 0 }: BroadcastTiming,
  { scheduledAt, startedAt }: { scheduledAt: Date; startedAt: Date },
  { timeZone, position }: { timeZone: string | null; position: number },
): MailTime {
  const scheduled = scheduledAt.getTime();
  const late = startedAt.getTime() - scheduled > LATE_MS;
  // Seconds until the planner looks put nobody off to the next day whose hour was that of the beginning.
  const started = late ? startedAt.getTime() : scheduled;
  const offset = spreadOffsetMs(position, spreadMinutes) + delayMinutes * MINUTE_MS;
  if (local === null) {
    // Not the present: a broadcast that is late because nothing ran meets the rule for overdue mails.
    const base = late && spreadMinutes > 0 ? started : scheduled;
    return timeOf(base + offset, base === scheduled ? null : scheduled + offset);
  }
  const { zone, fellBack } = clockOf(local, timeZone);
  const reading = localMs(local.atLocal);
  const hour = instantOfLocalMs(reading, zone);
  if (hour >= started) return { ...timeOf(hour + offset, null), fellBack };
  const passed = { fellBack, passed: true };
  if (local.ifPassed === 'skip') return { ...timeOf(hour, null), ...passed, tooLate: true };
  const base = local.ifPassed === 'send' ? started : nextTime(reading, zone, started);
  // Late by the owner's own start is late by no outage: only a beginning after its hour is.
  const plannedFor = late ? hour + offset : null;
  return { ...timeOf(base + offset, plannedFor), ...passed };
}

/** Between 0 and the spread, even over any run of positions. */
export function spreadOffsetMs(position: number, spreadMinutes: number): number {
  const place = (position * GOLDEN) % 1;
  return Math.floor(place * spreadMinutes * MINUTE_MS);
}

/**
 * How much later than planned those mails go that came up in a pause, in milliseconds: a spread stays one, counted from the
 * end of the pause, beside those whose time is still to come. `firstDueAt`: of the first of them.
 */
export function shiftAfterPause(
  { timing }: { timing: BroadcastTiming | null },
  { firstDueAt, now }: { firstDueAt: Date | null; now: Date },
): number {
  if (firstDueAt === null || (timing?.spreadMinutes ?? 0) === 0) return 0;
  return Math.max(0, now.getTime() - firstDueAt.getTime());
}

/** Not behind its expiry by the shift: it is better sooner than never. As `BroadcastMailsQueries.release`. */
export function dueAfterPause(
  { dueAt, expiresAt }: { dueAt: Date; expiresAt: Date | null },
  shiftMs: number,
): Date {
  const later = dueAt.getTime() + shiftMs;
  const latest =
    expiresAt === null ? later : Math.max(dueAt.getTime(), expiresAt.getTime() - EXPIRY_MARGIN_MS);
  return new Date(Math.min(later, latest));
}

/** The first instant from `from` on at which the clock shows the same time of day, on a later day. */
function nextTime(reading: number, zone: string, from: number): number {
  let days = Math.max(1, Math.floor((from - instantOfLocalMs(reading, zone)) / DAY_MS));
  while (instantOfLocalMs(reading + days * DAY_MS, zone) < from) days += 1;
  return instantOfLocalMs(reading + days * DAY_MS, zone);
}

function timeOf(dueMs: number, plannedForMs: number | null): MailTime {
  return {
    dueAt: new Date(dueMs),
    plannedFor: plannedForMs === null ? null : new Date(plannedForMs),
    tooLate: false,
    fellBack: false,
    passed: false,
  };
}
