import { weekdayText } from '../values/weekday-text.js';
import { DateTime } from 'luxon';
import { beginOf } from '../sequences/steps/moment.js';
import type { StepTiming } from '../sequences/steps/schedule.js';
import { durationText } from '../values/duration.js';

/**
 * `info` tells, `passed` let the mail through, `waits` holds it back for now, `stopped` ended it, `done` is the end it
 * came to otherwise.
 */
type RuleVerdict = 'info' | 'passed' | 'waits' | 'stopped' | 'done';

/** One rule that was asked, in the order in which the engine asks. */
export interface Rule {
  /** Stable, for programs. */
  code: string;
  verdict: RuleVerdict;
  /** For people: one or two sentences. */
  text: string;
  /** When it was decided, or until when it waits; null when neither is known. */
  at: Date | null;
}

export interface Explanation {
  /** The code of the rule that decided. */
  decidedBy: string;
  /** What it came to, in a sentence. */
  answer: string;
  chain: Rule[];
}

export function rule(code: string, verdict: RuleVerdict, text: string, at: Date | null = null): Rule {
  return { code, verdict, text, at };
}

/**
 * The first rule that stopped a mail decided, else the first that holds it back, else the end. A chain without any of
 * them has nothing left to wait for but the next run.
 */
export function explanation(chain: Rule[]): Explanation {
  const decider =
    chain.find(({ verdict }) => verdict === 'stopped') ??
    chain.find(({ verdict }) => verdict === 'waits') ??
    chain.find(({ verdict }) => verdict === 'done');
  if (decider) return { decidedBy: decider.code, answer: decider.text, chain };
  const next = rule('NEXT_RUN', 'waits', 'Nothing holds the mail back: it goes out with the next run.');
  return { decidedBy: next.code, answer: next.text, chain: [...chain, next] };
}

/** `Wed 7 Jan 2026, 09:30 Europe/Berlin`. */
export function instantText(at: Date, zone = 'UTC'): string {
  return `${DateTime.fromJSDate(at, { zone }).setLocale('en-GB').toFormat('ccc d LLL yyyy, HH:mm')} ${zone}`;
}

/** When a step runs, in words: `2 days after the step before, at 09:30 ...`. */
export function timingText(timing: StepTiming, zone: string): string {
  const { delay, at, onDays, window, quietHours, until } = timing;
  const start = until === undefined ? 'at once' : `not before ${instantText(beginOf(until, zone), zone)}`;
  const parts = [
    delay === undefined ? start : `${durationText(delay)} after the step before`,
    ...(at === undefined ? [] : [`at ${at}`]),
    ...(onDays === undefined ? [] : [`on ${weekdayText(onDays)}`]),
    ...(window === undefined ? [] : [`on ${weekdayText(window.days)} from ${window.from} to ${window.to}`]),
    ...(quietHours === undefined ? [] : [`not from ${quietHours.from} to ${quietHours.to}`]),
  ];
  const isLocal = [at, onDays, window, quietHours].some((part) => part !== undefined);
  const local = isLocal ? `, on the reader's clock (${zone})` : '';
  return parts.join(', ') + local;
}

export function quoted(name: string): string {
  return `“${name}”`;
}
