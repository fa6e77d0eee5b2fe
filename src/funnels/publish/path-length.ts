import {
  isAsking,
  isMail,
  waysOut,
  type SequenceDefinition,
  type SequenceNode,
  type TimedNode,
} from '../../sequences/steps/definition.js';
import { timingOf } from '../../sequences/steps/prepared.js';
import { durationMs } from '../../values/duration.js';
import { WEEKDAYS, type Weekday } from '../../values/zoned-time.js';

const WEEK_DAYS = WEEKDAYS.length;

/** What a path comes to on each of its ways, by what each of its steps adds; every way leads forward in the list. */
function alongWays(
  path: readonly SequenceNode[],
  add: (node: SequenceNode) => number,
  pick: (...ways: number[]) => number,
): number {
  const sums = new Map<string | null, number>();
  for (const node of path.toReversed()) {
    const rest = pick(...waysOut(node).map(({ to }) => sums.get(to) ?? 0));
    sums.set(node.key, add(node) + rest);
  }
  return sums.get(path[0]?.key ?? null) ?? 0;
}

export function mostMails(path: readonly SequenceNode[]): number {
  return alongWays(path, (node) => Number(isMail(node)), Math.max);
}

export function leastMails(path: readonly SequenceNode[]): number {
  return alongWays(path, (node) => Number(isMail(node)), Math.min);
}

/** How long it takes at most to come to the end of the path, in milliseconds. None of its steps waits for a date. */
export function longestMs(
  path: readonly SequenceNode[],
  frame: Pick<SequenceDefinition, 'window' | 'quietHours'>,
): number {
  return alongWays(path, (node) => takesMs(node, frame), Math.max);
}

function takesMs(node: SequenceNode, frame: Pick<SequenceDefinition, 'window' | 'quietHours'>): number {
  if (isAsking(node)) {
    const within = node.kind === 'branch' || node.kind === 'choice' ? node.within : null;
    return within === null ? 0 : durationMs(within);
  }
  if (!isMail(node) || node.split === undefined) return waitsMs(node, frame);
  return Math.max(...node.split.arms.map(({ delay, at }) => waitsMs({ ...node, delay, at }, frame)));
}

function waitsMs(node: TimedNode, frame: Pick<SequenceDefinition, 'window' | 'quietHours'>): number {
  const { delay, at, onDays, window, quietHours } = timingOf(node, frame);
  const delayMs = delay === undefined ? 0 : durationMs(delay);
  if ([at, onDays, window, quietHours].every((one) => one === undefined)) return delayMs;
  const days = WEEKDAYS.filter((day) => [onDays, window?.days].every((some) => some?.includes(day) ?? true));
  return delayMs + durationMs({ value: longestGap(days), unit: 'days' });
}

/** From one of the days of the week to the next, at most; a week where there is but one, or none. */
function longestGap(days: readonly Weekday[]): number {
  const places = days.map((day) => WEEKDAYS.indexOf(day));
  const gaps = places.map((place, nth) => (places[nth + 1] ?? (places[0] ?? 0) + WEEK_DAYS) - place);
  return Math.max(...(gaps.length === 0 ? [WEEK_DAYS] : gaps));
}
