import { isReplyReason, type ReplyReason } from './reply-reason.js';

/** Where the name of the reason alone would not tell a person what happened. */
const WORDS: Readonly<Partial<Record<ReplyReason, string>>> = {
  user_unknown: 'no such user',
  host_unknown: 'no such domain',
  no_mail_accepted: 'the domain takes no mail',
  provider_suppressed: 'on the provider’s own list',
  mailbox_full: 'mailbox full',
  mailbox_busy: 'mailbox gets too much mail',
  greylisted: 'the receiver greylists',
  auth_failure: 'SPF, DKIM or DMARC failed',
  bad_reputation: 'poor reputation',
  not_a_report: 'nothing any rule could read',
  unclear: 'no rule knows the words',
  unexplained: 'refused without a known word',
};

/** `no such user` for `user_unknown`; null for what is no reason of a reply. */
export function replyWords(reason: string): string | null {
  return isReplyReason(reason) ? (WORDS[reason] ?? reason.replaceAll('_', ' ')) : null;
}
