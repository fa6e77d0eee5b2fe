import { FREQUENCY_CAP } from '../message/state-reasons.js';
import { expiresBeforeHours } from '../waiting/expires-before-hours.js';
import { DAY_MS, WEEK_MS } from '../../values/time-units.js';
import { opensAt, type OpenHours } from '../../values/week-hours.js';

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

/** Mails of one person go in this order: the smaller priority first, and of the same the one that was planned before. */
interface Turn {
  /** A number, growing with each mail that is planned. */
  id: string;
  priority: number;
}

/** A mail that was about to go. */
interface CappedMail extends Turn {
  subscriberId: string;
  broadcastId: string | null;
  /** From when on it is of no use; null: never. */
  expiresAt: Date | null;
  /** In which alone it goes; null: at any time. */
  hours: OpenHours | null;
}

/** A mail that has come up before, and waits for the cap or for its hours until then. */
export interface WaitingTurn extends Turn {
  at: Date;
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
 * Which of the mails must wait, given when each person got their last ones (those under way count as now), and what waits for
 * them. `mails` stand in the order in which they would go: the first has the place. One that waits takes the place of its time, so that the
 * next waits longer, but where it is of no use by then: nothing would go at that time. So do those that wait already, from
 * whose turn it is before: one whose hours are at noon would wait for ever behind others that come each morning. Pure.
 */
export function delayed(
  mails: readonly CappedMail[],
  {
    sent,
    waiting,
  }: { sent: ReadonlyMap<string, readonly Date[]>; waiting: ReadonlyMap<string, readonly WaitingTurn[]> },
  cap: FrequencyCap,
  now: Date,
): Delayed[] {
  const taken = new Map<string, number[]>();
  return mails.flatMap((mail): Delayed[] => {
    const { id, subscriberId, expiresAt } = mail;
    const times = taken.get(subscriberId) ?? (sent.get(subscriberId) ?? []).map((at) => at.getTime());
    taken.set(subscriberId, times);
    const before = (waiting.get(subscriberId) ?? []).filter((one) => isBefore(one, mail));
    const all = [...times, ...before.map((one) => one.at.getTime())];
    const { at, reason } = placeInHours(mail, all, cap, now.getTime());
    if (expiresAt === null || at < expiresAt.getTime()) times.push(at);
    return at > now.getTime() ? [{ id, until: new Date(at), reason }] : [];
  });
}

function isBefore(one: Turn, other: Turn): boolean {
  return one.priority === other.priority ? Number(one.id) < Number(other.id) : one.priority < other.priority;
}

/** The first place that is in its hours: there nothing that comes up meanwhile takes it. */
function placeInHours(
  mail: CappedMail,
  times: readonly number[],
  cap: FrequencyCap,
  from: number,
): { at: number; reason: string } {
  const place = firstPlace(times, cap, from);
  if (place.at === from || mail.hours === null) return place;
  const opening = opensAt(mail.hours, new Date(place.at));
  if (opening === null || expiresBeforeHours(opening, mail)) return place;
  return { ...placeInHours(mail, times, cap, opening.getTime()), reason: place.reason };
}

/** The earliest time from `from` on at which one more mail keeps to both limits. */
function firstPlace(
  times: readonly number[],
  { perDay, perWeek }: FrequencyCap,
  from: number,
): { at: number; reason: string } {
  const day = { most: perDay ?? Number.POSITIVE_INFINITY, spanMs: DAY_MS };
  const week = { most: perWeek ?? Number.POSITIVE_INFINITY, spanMs: WEEK_MS };
  // A span holds one mail less only where one of them leaves it.
  const leaves = [day, week].flatMap(({ most, spanMs }) =>
    Number.isFinite(most) ? times.map((time) => time + spanMs) : [],
  );
  const fullBy = (at: number): string | null => {
    if (isFull(times, week, at)) return `${FREQUENCY_CAP}: ${perWeek} a week`;
    return isFull(times, day, at) ? `${FREQUENCY_CAP}: ${perDay} a day` : null;
  };
  let at = from;
  let reason = '';
  for (const next of leaves.filter((time) => time > from).toSorted((a, b) => a - b)) {
    const full = fullBy(at);
    if (full === null) break;
    [at, reason] = [next, full];
  }
  return { at, reason };
}

/** Whether a mail at that time is one too many in a span that ends with it, or with one that is to come. */
function isFull(
  times: readonly number[],
  { most, spanMs }: { most: number; spanMs: number },
  at: number,
): boolean {
  const ends = [at, ...times.filter((time) => time > at && time < at + spanMs)];
  return ends.some((end) => times.filter((time) => time > end - spanMs && time <= end).length >= most);
}
