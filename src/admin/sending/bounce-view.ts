import type { BounceReason, BounceVerdict } from '../../bounces/judged-mail.js';
import { replyWords } from '../../delivery/replies/reply-words.js';

/** What each verdict means for the person, in the owner's words. */
export const VERDICT_WORDS: Readonly<Record<BounceVerdict, { label: string; badge: string }>> = {
  hard: { label: 'dead address', badge: 'badge-bad' },
  complaint: { label: 'complaint', badge: 'badge-bad' },
  sender: { label: 'about the sender', badge: 'badge-warn' },
  soft: { label: 'counted', badge: 'badge-warn' },
  ignore: { label: 'no effect', badge: '' },
};

/** By the provider's own link: no failure, and yet of effect. */
export const LEFT = { label: 'left the list', badge: '' };

/** Why a report that names a mail of ours, or seems to, has not done what it says; null when it has. */
export function doubtWords({
  trusted,
  messageId,
  verdict,
}: Record<'messageId', string | null> & { trusted: boolean; verdict: string }): string | null {
  if (trusted) return null;
  if (messageId === null) return 'proves nothing: without a token of ours';
  return verdict === 'sender'
    ? 'may be forged: about the sender it counts only with those of many other readers'
    : 'may be forged: it does no more than the unsubscribe link';
}

const REASON_WORDS: Readonly<Partial<Record<BounceReason, string>>> = {
  abuse: 'marked as spam',
  opt_out: 'wants no more mail',
  fraud: 'reported as fraud',
  other: 'reported without a kind',
  unknown_kind: 'a report of a kind no rule knows',
  unsubscribed: 'unsubscribed at the provider',
};

/** `no such user`, or the name of the reason in words. */
export function reasonWords(reason: string): string {
  const own = Object.entries(REASON_WORDS).find(([name]) => name === reason)?.[1];
  return own ?? replyWords(reason) ?? reason.replaceAll('_', ' ');
}

const SOURCES: Readonly<Record<string, string>> = {
  smtp: 'by mail',
  imap: 'from the mailbox',
  smtp_reply: 'while sending',
  ses: 'from Amazon SES',
  sendgrid: 'from SendGrid',
  postmark: 'from Postmark',
  mailgun: 'from Mailgun',
};

export function sourceWords(source: string): string {
  return SOURCES[source] ?? source;
}
