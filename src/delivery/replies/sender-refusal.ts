import { VERDICT_OF, type ReplyReason } from './reply-reason.js';

const PREFIX = 'refused because of the sender: ';

/** Where the alerts about refusals because of the sender are kept: `bounces:sender:<domain>:<reason>`. */
export const SENDER_REFUSED_ALERT = 'bounces:sender:';

const REASONS = (Object.keys(VERDICT_OF) as ReplyReason[]).filter((one) => VERDICT_OF[one] === 'sender');

/**
 * `state_reason` of a mail that was refused for good because of us. It is held: RFC 5321 §4.2.1 forbids the same try
 * again, and the person is not to blame, so only the owner knows when the cause is mended.
 */
export function senderRefusal(reason: ReplyReason): string {
  return PREFIX + reason.replaceAll('_', ' ');
}

/** Every value of it, for SQL. */
export const SENDER_REFUSALS: readonly string[] = REASONS.map(senderRefusal);

/** They name our domain or address as the cause, whoever the recipient was; the others may be the rule of one server. */
export const PLAINLY_US: readonly ReplyReason[] = ['auth_failure', 'blocked', 'bad_reputation'];

/** The reason behind such a `state_reason`; null for any other. */
export function refusedFor(stateReason: string): ReplyReason | null {
  return REASONS.find((one) => senderRefusal(one) === stateReason) ?? null;
}
