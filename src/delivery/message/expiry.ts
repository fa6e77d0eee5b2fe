import { withoutSending } from './message.js';
import { OVERDUE, RESTORED } from './overdue.js';

/**
 * `state_reason` of a mail that has expired, where that was not the last of its tries: that leaves what the relay said.
 * Whoever lets mails expire for another cause names it here, or nobody could be told of it.
 */
export const EXPIRY = {
  tooLate: () => 'too late to be sent',
  overdue: () => OVERDUE,
  restored: () => RESTORED,
  unrelayed: (days: number) => `no relay took it for ${days} days`,
  unsigned: (days: number) => `the key that signs it was missing or bad for ${days} days`,
  putOff: (days: number) => `put off at every try for ${days} days`,
} as const;

export type Expiry = keyof typeof EXPIRY;

const KINDS = Object.keys(EXPIRY) as Expiry[];

/** SQL for the `state_reason` of a held mail `m` that is of no use any more: what it was held for stands before it. */
export const HELD_TOO_LONG = `coalesce(m.state_reason || ', ', '') || '${EXPIRY.tooLate()}'`;
const TOO_LONG = `, ${EXPIRY.tooLate()}`;

const IS_OVER = (now: string): string => `m.expires_at <= ${now}`;

/**
 * SQL for what becomes of a held mail `m` when its pause is over: it goes, not late by that, or ends where it is of no use any more. Its
 * next turn would end it as well, and not know any more that it was held.
 */
export const letGo = (now: string): string => `
  state = ${withoutSending(`case when ${IS_OVER(now)} then 'expired' else 'ready' end`)},
  state_reason = case when ${IS_OVER(now)} then ${HELD_TOO_LONG} end,
  settled_at = case when ${IS_OVER(now)} then clock_timestamp() end,
  due_at = case when ${IS_OVER(now)} then m.due_at else greatest(m.due_at, ${now}) end,
  planned_for = case when ${IS_OVER(now)} then m.planned_for end`;

/** What a mail was held for until it was too late; null for one that was not held. */
export function heldUntilTooLate(stateReason: string): string | null {
  return stateReason.endsWith(TOO_LONG) ? stateReason.slice(0, -TOO_LONG.length) : null;
}

/** The cause behind such a `state_reason`, however many days were waited; null for what a try left. */
export function expiryOf(stateReason: string): Expiry | null {
  if (heldUntilTooLate(stateReason) !== null) return 'tooLate';
  const days = Number(/ for (\d+) days$/.exec(stateReason)?.[1] ?? 0);
  return KINDS.find((kind) => EXPIRY[kind](days) === stateReason) ?? null;
}
