/** Why a mail was not taken, or what a report about one says. Each has one verdict, see {@link VERDICT_OF}. */
export type ReplyReason =
  | 'user_unknown'
  | 'host_unknown'
  | 'moved'
  | 'no_mail_accepted'
  | 'provider_suppressed'
  | 'mailbox_full'
  | 'mailbox_busy'
  | 'suspended'
  | 'filtered'
  | 'expired'
  | 'network_error'
  | 'system_error'
  | 'mailer_error'
  | 'greylisted'
  | 'too_large'
  | 'unclear'
  | 'auth_failure'
  | 'blocked'
  | 'bad_reputation'
  | 'policy'
  | 'unexplained'
  | 'spam'
  | 'virus'
  | 'content'
  | 'sender_rejected'
  | 'relay_denied'
  | 'rate_limited'
  | 'protocol'
  | 'delayed'
  | 'delivered'
  | 'auto_reply'
  | 'not_a_report';

/**
 * `hard`: the address will not work again. `soft`: it did not work this time; several in a row count. `sender`: it is
 * about us, whoever the recipient was, and never held against a person. `ignore`: nothing has failed.
 */
export type ReplyVerdict = 'hard' | 'soft' | 'sender' | 'ignore';

export const VERDICT_OF: Readonly<Record<ReplyReason, ReplyVerdict>> = {
  user_unknown: 'hard',
  host_unknown: 'hard',
  moved: 'hard',
  no_mail_accepted: 'hard',
  provider_suppressed: 'hard',
  mailbox_full: 'soft',
  mailbox_busy: 'soft',
  suspended: 'soft',
  filtered: 'soft',
  expired: 'soft',
  network_error: 'soft',
  system_error: 'soft',
  mailer_error: 'soft',
  greylisted: 'soft',
  too_large: 'soft',
  unclear: 'soft',
  auth_failure: 'sender',
  blocked: 'sender',
  bad_reputation: 'sender',
  policy: 'sender',
  unexplained: 'sender',
  spam: 'sender',
  virus: 'sender',
  content: 'sender',
  sender_rejected: 'sender',
  relay_denied: 'sender',
  rate_limited: 'sender',
  protocol: 'sender',
  delayed: 'ignore',
  delivered: 'ignore',
  auto_reply: 'ignore',
  not_a_report: 'ignore',
};

/** Those under which a refusal at RCPT says that the address is dead. */
export const HARD_REASONS: readonly string[] = Object.entries(VERDICT_OF).flatMap(([reason, verdict]) =>
  verdict === 'hard' ? [reason] : [],
);

/** Whatever else a mail waits for is said in other words, see `state-reasons.ts`. */
export const REPLY_REASONS: readonly string[] = Object.keys(VERDICT_OF);

export function isReplyReason(text: string): text is ReplyReason {
  return Object.hasOwn(VERDICT_OF, text);
}
