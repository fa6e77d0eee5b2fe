import { IF_PASSED, localMs, type BroadcastTiming } from '../broadcasts/timing.js';
import { canonicalTimeZone, instantOfLocalMs } from '../values/zoned-time.js';
import type { BroadcastTyped } from './broadcast-form.js';

export interface BroadcastStart {
  at: Date | null;
  timing: BroadcastTiming;
}

const LOCAL = /^\d{4}-\d\d-\d\dT\d\d:\d\d$/;
const MAX_SPREAD_HOURS = 168;

const IF_PASSED_WORDS: Readonly<Record<(typeof IF_PASSED)[number], string>> = {
  nextDay: 'get it at the same hour a day later',
  send: 'get it at once',
  skip: 'do not get it',
};

/** When it is to go, as it was typed, or what is wrong with each field. */
export function readStart(typed: BroadcastTyped): BroadcastStart | { errors: Record<string, string> } {
  const one = (name: string): string => typed[name]?.[0] ?? '';
  const errors: Record<string, string> = {};
  const hours = Number(one('spreadHours') || '0');
  if (!(hours >= 0 && hours <= MAX_SPREAD_HOURS))
    errors['spreadHours'] = `Use a number of hours up to ${MAX_SPREAD_HOURS}, or leave it empty.`;
  const spreadMinutes = Math.round(hours * 60);
  const when = one('when');
  const zone = canonicalTimeZone(one('zone') || 'UTC');
  if (when !== 'now' && zone === null) errors['zone'] = 'Use a time zone such as Europe/Vienna.';
  const time = one('time');
  if (when !== 'now' && !LOCAL.test(time)) errors['time'] = 'Give the day and the time of day.';
  if (Object.keys(errors).length > 0 || zone === null) return { errors };
  if (when === 'now') return { at: null, timing: { local: null, spreadMinutes } };
  if (when === 'at')
    return {
      at: new Date(instantOfLocalMs(localMs(time), zone)),
      timing: { local: null, spreadMinutes },
    };
  const ifPassed = IF_PASSED.find((value) => value === one('ifPassed')) ?? 'nextDay';
  return { at: null, timing: { local: { atLocal: time, fallbackZone: zone, ifPassed }, spreadMinutes } };
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

/** When the mails of a broadcast that was started are due, in words; null for at once. */
export function timingText({
  timing,
  withoutZone,
  hourPassed,
}: {
  timing: BroadcastTiming | null;
  withoutZone: number;
  hourPassed: number;
}): string | null {
  if (timing === null) return null;
  const { local, spreadMinutes } = timing;
  const spread = spreadMinutes === 0 ? '' : `spread over ${durationText(spreadMinutes)}`;
  if (local === null) return spread === '' ? null : spread;
  const words = [
    `at ${local.atLocal.replace('T', ', ')} on each reader’s clock`,
    ...(spread === '' ? [] : [spread]),
    ...(withoutZone === 0 ? [] : [`${withoutZone} without a known zone by ${local.fallbackZone}`]),
    ...(hourPassed === 0 ? [] : [`${hourPassed} past the hour ${IF_PASSED_WORDS[local.ifPassed]}`]),
  ];
  return words.join('; ');
}

/** `45 minutes`, `4 hours`, `1.5 hours`. */
export function durationText(minutes: number): string {
  if (minutes < 60) return `${minutes} ${minutes === 1 ? 'minute' : 'minutes'}`;
  const hours = Math.round(minutes / 6) / 10;
  return `${hours} ${hours === 1 ? 'hour' : 'hours'}`;
}
