import { DateTime } from 'luxon';
import type { BroadcastReport, Resend } from '../../broadcasts/broadcast.js';
import { resendBody, startBody, timingOf } from '../../broadcasts/broadcasts.schemas.js';
import { hasHours, type Split } from '../../broadcasts/split.js';
import { IF_PASSED, localMs, type BroadcastTiming } from '../../broadcasts/timing.js';
import { instantOfLocalMs } from '../../values/zoned-time.js';
import type { BroadcastTyped } from './broadcast-form.js';

interface BroadcastStart {
  at: Date | null;
  timing: BroadcastTiming;
}

/** Of each field of the API, the one of the form that says it, and what it takes. */
const FIELDS: Readonly<Record<string, readonly [field: string, advice: string]>> = {
  atLocal: ['time', 'Give the day and the time of day.'],
  fallbackZone: ['zone', 'Use a time zone such as Europe/Vienna.'],
  ifPassed: ['ifPassed', 'Say what becomes of readers whose clock is past it.'],
  spreadMinutes: ['spreadHours', 'Use a number of hours up to 168, or leave it empty.'],
};

const IF_PASSED_WORDS: Readonly<Record<(typeof IF_PASSED)[number], string>> = {
  nextDay: 'get it at the same hour a day later',
  send: 'get it at once',
  skip: 'do not get it',
};

/** When it is to go, as it was typed, or what is wrong with each field. `hours`: arms of its test have their own. */
export function readStart(
  typed: BroadcastTyped,
  { hours }: { hours: boolean },
): BroadcastStart | { errors: Record<string, string> } {
  const one = (name: string): string => typed[name]?.[0] ?? '';
  const when = one('when');
  const read = startBody.safeParse({
    spreadMinutes: Math.round(Number(one('spreadHours')) * 60),
    ...(when === 'now'
      ? {}
      : {
          atLocal: one('time'),
          fallbackZone: one('zone') || undefined,
          ifPassed: one('ifPassed') || undefined,
        }),
  });
  if (!read.success) {
    const said = read.error.issues.map(({ path }) => FIELDS[String(path[0])] ?? FIELDS['atLocal']);
    return { errors: Object.fromEntries(said.filter((one) => one !== undefined)) };
  }
  const timing = timingOf(read.data);
  if (when !== 'at' || timing.local === null) return { at: null, timing };
  const { atLocal, fallbackZone } = timing.local;
  if (hours) {
    // One clock for everybody, on which arms can have their hours; what stands there for each reader's own does not count.
    const local = { ...timing.local, timezone: fallbackZone, ifPassed: 'nextDay' as const };
    return { at: null, timing: { ...timing, local } };
  }
  const at = new Date(instantOfLocalMs(localMs(atLocal), fallbackZone));
  return { at, timing: { ...timing, local: null } };
}

/** What the form prints: now, unless something else was typed. */
export function startFormPage(
  typed: BroadcastTyped,
  errors: Record<string, string>,
): Record<string, unknown> {
  const one = (name: string): string => typed[name]?.[0] ?? '';
  const field = (name: string, label: string): object => ({
    ...{ name, label, value: one(name), error: errors[name] ?? null },
  });
  const when = one('when') || 'now';
  return {
    whens: [
      { value: 'now', words: 'Now' },
      { value: 'at', words: 'At a time, for everybody at once' },
      { value: 'local', words: 'At this time on each reader’s own clock' },
    ].map((option) => ({ ...option, checked: option.value === when })),
    time: field('time', 'Day and time'),
    zone: field('zone', 'Time zone'),
    spread: field('spreadHours', 'Spread over hours'),
    ifPassed: IF_PASSED.map((value) => ({
      ...{ value, words: IF_PASSED_WORDS[value] },
      chosen: value === (one('ifPassed') || 'nextDay'),
    })),
    problems: Object.entries(errors).map(([name, message]) => ({ name, message })),
  };
}

/** The words in which a broadcast is sent once more, and to whom; or what is wrong with them. */
export function readResend(typed: BroadcastTyped): Resend | { error: string } {
  const read = resendBody.safeParse({
    subject: typed['resendSubject']?.[0] || undefined,
    unless: typed['unless']?.[0] || undefined,
    leaveOutWaiting: typed['leaveOutWaiting']?.[0] === 'on',
  });
  if (!read.success) return { error: 'Give another subject: one line of at most 300 characters.' };
  const { subject = null, template = null, title = null, unless, leaveOutWaiting } = read.data;
  return { subject, template, title, unless, leaveOutWaiting };
}

/** When the mails of a broadcast that was started are due, in words; null for at once. */
export function timingText({
  timing,
  withoutZone,
  hourPassed,
  split,
}: {
  split: Split | null;
  timing: BroadcastTiming | null;
  withoutZone: number;
  hourPassed: number;
}): string | null {
  if (timing === null) return null;
  const hours = split !== null && hasHours(split);
  const { local, spreadMinutes } = timing;
  const spread = spreadMinutes === 0 ? '' : `spread over ${minutesText(spreadMinutes)}`;
  if (local === null) return spread === '' ? null : spread;
  const reading = DateTime.fromISO(local.atLocal, { zone: 'UTC' }).setLocale('en-GB');
  const clock = reading.toFormat('ccc d LLL yyyy, HH:mm');
  const words = [
    local.timezone === undefined ? `${clock} on each reader’s clock` : `${clock} in ${local.timezone}`,
    ...(hours ? ['arms at their hours of that day'] : []),
    ...(spread === '' ? [] : [spread]),
    ...(withoutZone === 0 ? [] : [`${withoutZone} without a known zone by ${local.fallbackZone}`]),
    ...(hourPassed === 0 ? [] : [`${hourPassed} past the hour ${IF_PASSED_WORDS[local.ifPassed]}`]),
  ];
  return words.join('; ');
}

/** What becomes of readers for whom a pause lasts too long, once its owner goes on; null where all get their mail then. */
export function lateText({
  timing,
  split,
  startedAt,
}: Pick<BroadcastReport, 'timing' | 'split' | 'startedAt'>): string | null {
  const { ifPassed } = timing?.local ?? {};
  if (startedAt === null || ifPassed === undefined || (split !== null && hasHours(split))) return null;
  if (ifPassed === 'send') return 'Readers for whom it is night when it goes on get it in the morning.';
  return `Readers whom the pause makes over six hours late ${IF_PASSED_WORDS[ifPassed]}.`;
}

/** `45 minutes`, `4 hours`, `1.5 hours`. */
export function minutesText(minutes: number): string {
  if (minutes < 60) return `${minutes} ${minutes === 1 ? 'minute' : 'minutes'}`;
  const hours = Math.round(minutes / 6) / 10;
  return `${hours} ${hours === 1 ? 'hour' : 'hours'}`;
}
