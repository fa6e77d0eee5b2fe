import { addDuration, parseDuration, parseSpan, type Duration } from '../../values/duration.js';

export const MEMBERSHIP_STATES = ['active', 'ended', 'refunded'] as const;
export type MembershipState = (typeof MEMBERSHIP_STATES)[number];

/** What may happen to one, and by what. */
export const CHANGE_KINDS = ['began', 'prolonged', 'shortened', 'ended', 'refunded'] as const;
export type ChangeKind = (typeof CHANGE_KINDS)[number];
export const CHANGE_CAUSES = ['order', 'hand', 'time'] as const;
export type ChangeCause = (typeof CHANGE_CAUSES)[number];

/** `endsAt`: null for one that has no end; of one that is over, when it ended. */
export interface Membership {
  state: MembershipState;
  startsAt: Date;
  endsAt: Date | null;
}

/** Without an end. */
export const FOR_GOOD = 'for good';
type MembershipTerm = Duration | typeof FOR_GOOD;

/** What happened to a membership, oldest first. A grant of an order ends with the order's refund. */
export type MembershipChange =
  { kind: 'granted'; at: Date; term: MembershipTerm; orderId: string | null } | { kind: 'ended'; at: Date };

/** Days are those of UTC for everybody: an end must not move with the person's clock. */
const ZONE = 'UTC';

/** Reads `12 months` and `for good`. Throws `DURATION_INVALID`. */
export function parseTerm(text: string): MembershipTerm {
  if (text.trim() === FOR_GOOD) return FOR_GOOD;
  return parseDuration(text);
}

/** As `parseTerm`, for what somebody writes: a membership of no length would end as it begins. */
export function readTerm(text: string): MembershipTerm {
  return text.trim() === FOR_GOOD ? FOR_GOOD : parseSpan(text);
}

/** Whether it holds at `now`: the end itself is outside, also before anybody has written that down. */
export function isRunning({ state, endsAt }: Membership, now: Date): boolean {
  return state === 'active' && (endsAt === null || endsAt > now);
}

/** With one more term: from the end of one that runs, else from `now`. What has no end keeps none. */
export function granted(current: Membership | null, term: MembershipTerm, now: Date): Membership {
  const running = current !== null && isRunning(current, now) ? current : null;
  const startsAt = running?.startsAt ?? now;
  if (term === FOR_GOOD || running?.endsAt === null) return { state: 'active', startsAt, endsAt: null };
  return {
    state: 'active',
    startsAt,
    endsAt: running === null ? addDuration(now, term, ZONE) : prolonged(running, running.endsAt, term),
  };
}

/** Months are counted from the start of one that has lasted whole months: one of the 31st ends on the last day of each. */
function prolonged({ startsAt }: Membership, endsAt: Date, term: Duration): Date {
  if (term.unit !== 'months') return addDuration(endsAt, term, ZONE);
  const months = monthsBetween(startsAt, endsAt);
  const past: Duration = { value: months, unit: 'months' };
  return addDuration(startsAt, past, ZONE).getTime() === endsAt.getTime()
    ? addDuration(startsAt, { value: months + term.value, unit: 'months' }, ZONE)
    : addDuration(endsAt, term, ZONE);
}

/** By the calendar alone, whatever the days. */
function monthsBetween(from: Date, to: Date): number {
  return (to.getUTCFullYear() - from.getUTCFullYear()) * 12 + to.getUTCMonth() - from.getUTCMonth();
}

/** Over at `now`, or at its own end when that was before. */
export function over(current: Membership, state: 'ended' | 'refunded', now: Date): Membership {
  const { startsAt, endsAt } = current;
  return { state, startsAt, endsAt: endsAt !== null && endsAt < now ? endsAt : now };
}

/**
 * After the refund of an order: what the other grants come to when they run on, as if the order had never been; else it
 * is over. `changes` are all of its changes, those of the refunded orders left out.
 */
export function refunded(current: Membership, changes: readonly MembershipChange[], now: Date): Membership {
  let rest: Membership | null = null;
  for (const change of changes) {
    if (change.kind === 'granted') rest = granted(rest, change.term, change.at);
    else if (rest !== null) rest = over(rest, 'ended', change.at);
  }
  return rest !== null && isRunning(rest, now) ? rest : over(current, 'refunded', now);
}
