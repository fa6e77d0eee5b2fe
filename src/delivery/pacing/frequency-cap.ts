import { FREQUENCY_CAP } from '../message/state-reasons.js';
import { DAY_MS, WEEK_MS } from '../../values/time-units.js';

/** How many marketing mails one person gets at most, from all sequences and broadcasts together. */
export interface FrequencyCap {
  /** In any 24 hours; null: as many as there are. */
  perDay: number | null;
  /** In any seven days of 24 hours. */
  perWeek: number | null;
}

/** Whether a mail that waits for `before` may go sooner under `cap`. */
export const letsMore = (cap: FrequencyCap, before: FrequencyCap): boolean =>
  isMore(cap.perDay, before.perDay) || isMore(cap.perWeek, before.perWeek);

const isMore = (most: number | null, before: number | null): boolean =>
  before !== null && (most === null || most > before);

/** A mail that was about to go. */
interface CappedMail {
  id: string;
  subscriberId: string;
  /** From when on it is of no use; null: never. */
  expiresAt: Date | null;
}

/** A mail that waits, until when, and for which limit. */
export interface Delayed {
  id: string;
  until: Date;
  reason: string;
}

/** How far back sent mails count at all. */
export const LONGEST_SPAN_MS = WEEK_MS;

/**
 * Which of the mails must wait, given when each person got their last ones (those under way count as now). `mails` stand
 * in the order in which they would go: the first has the place. One that waits takes the place of its time, so that the
 * next waits longer, but where it is of no use by then: nothing would go at that time. Pure.
 */
export function delayed(
  mails: readonly CappedMail[],
  sent: ReadonlyMap<string, readonly Date[]>,
  cap: FrequencyCap,
  now: Date,
): Delayed[] {
  const taken = new Map<string, number[]>();
  return mails.flatMap(({ id, subscriberId, expiresAt }): Delayed[] => {
    const times = taken.get(subscriberId) ?? (sent.get(subscriberId) ?? []).map((at) => at.getTime());
    taken.set(subscriberId, times);
    const { at, reason } = firstPlace(times, cap, now.getTime());
    if (expiresAt === null || at < expiresAt.getTime()) times.push(at);
    return at > now.getTime() ? [{ id, until: new Date(at), reason }] : [];
  });
}

/** The earliest time from `from` on at which one more mail keeps to both limits. */
function firstPlace(
  times: readonly number[],
  { perDay, perWeek }: FrequencyCap,
  from: number,
): { at: number; reason: string } {
  let at = from;
  let reason = '';
  // Each limit moves the time forward only, and past one mail at least: the number of mails bounds the rounds.
  for (let round = 0; round <= 2 * times.length; round++) {
    const byDay = perDay === null ? at : freeAt(times, { most: perDay, spanMs: DAY_MS }, at);
    const byWeek = perWeek === null ? byDay : freeAt(times, { most: perWeek, spanMs: WEEK_MS }, byDay);
    if (byWeek === at) break;
    reason = byWeek > byDay ? `${FREQUENCY_CAP}: ${perWeek} a week` : `${FREQUENCY_CAP}: ${perDay} a day`;
    at = byWeek;
  }
  return { at, reason };
}

function freeAt(
  times: readonly number[],
  { most, spanMs }: { most: number; spanMs: number },
  at: number,
): number {
  const inSpan = times.filter((time) => time > at - spanMs).toSorted((a, b) => a - b);
  const oldest = inSpan[inSpan.length - most];
  return oldest === undefined ? at : Math.max(at, oldest + spanMs);
}
