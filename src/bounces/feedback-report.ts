import { addressesIn } from './addresses.js';
import { field, parseHeaderBlock, type HeaderBlock } from './header-block.js';

/** What a mailbox provider tells about a mail of ours (RFC 5965 §3, §7.3; RFC 6430 not-spam; RFC 6591 auth-failure). */
export type FeedbackType =
  'abuse' | 'opt_out' | 'fraud' | 'virus' | 'other' | 'not_spam' | 'auth_failure' | 'unknown_kind';

/**
 * A virus or a fraud in our mails is for the sender to look at. Any type that is not known here is kept for a person to
 * read.
 */
export const FEEDBACK_VERDICTS: Readonly<Record<FeedbackType, 'complaint' | 'ignore' | 'sender'>> = {
  abuse: 'complaint',
  opt_out: 'complaint',
  fraud: 'sender',
  virus: 'sender',
  other: 'ignore',
  not_spam: 'ignore',
  auth_failure: 'sender',
  unknown_kind: 'ignore',
};

/**
 * Real readers have pressed a button: "report as phishing", or one whose provider names no type. They want no more of it,
 * and may have pressed the wrong one, so marketing mail ends as by their own link, and receipts still come.
 */
export const LEAVING_TYPES: ReadonlySet<string> = new Set<FeedbackType>(['fraud', 'other']);

export interface FeedbackReport {
  type: FeedbackType;
  /** Often redacted by the provider; then our token in the returned headers says who it was. */
  recipients: string[];
  /** Where our mail came from by its envelope (RFC 5965 §3.2): a return path of ours, when the headers are left out. */
  mailFrom: string;
  /** Who reports, as it calls itself. */
  userAgent: string;
}

const TYPES: Readonly<Record<string, FeedbackType>> = {
  abuse: 'abuse',
  'opt-out': 'opt_out',
  'opt-out-list': 'opt_out',
  fraud: 'fraud',
  virus: 'virus',
  other: 'other',
  'not-spam': 'not_spam',
  'auth-failure': 'auth_failure',
};

/** Of what stands behind the type, such as a comment, nothing is read. */
export function feedbackType(name: string): FeedbackType {
  return TYPES[/^[a-z-]+/.exec(name.trim().toLowerCase())?.[0] ?? ''] ?? 'unknown_kind';
}

const TYPE_FIELD = /^feedback-type[ \t]*:/i;
const OTHER_FIELD = /^(?:user-agent|version)[ \t]*:/i;

/** The fields of a feedback report as they stand in another text; null when they do not. */
export function feedbackIn(text: string): string | null {
  const lines = text.split('\n');
  const at = lines.findIndex((line) => TYPE_FIELD.test(line));
  if (at === -1) return null;
  const start = lines.findLastIndex((line, index) => index < at && line.trim() === '') + 1;
  const end = lines.findIndex((line, index) => index > at && line.trim() === '');
  const block = lines.slice(start, end === -1 ? lines.length : end);
  return block.some((line) => OTHER_FIELD.test(line)) ? block.join('\n') : null;
}

const RECIPIENT_FIELDS = ['original-rcpt-to', 'removal-recipient'];
const RETURNED_FIELDS = ['x-hmxmroriginalrecipient', 'x-original-recipient', 'to', 'x-apparently-to'];

/**
 * Reads a message/feedback-report part; `originals` are the returned headers, for a recipient the report leaves out. An
 * empty line between its fields ends nothing: behind it may stand that it is no complaint.
 */
export function parseFeedbackReport(text: string, originals: readonly HeaderBlock[]): FeedbackReport {
  const block = parseHeaderBlock(text.trimStart().replace(/\n\s*\n/g, '\n'));
  const named = RECIPIENT_FIELDS.flatMap((name) => block.get(name) ?? []).flatMap(addressesIn);
  return {
    type: feedbackType(field(block, 'feedback-type')),
    recipients: named.length > 0 ? named : returnedRecipients(originals),
    mailFrom: field(block, 'original-mail-from'),
    userAgent: field(block, 'user-agent').slice(0, 255),
  };
}

/** Outlook's Junk Mail Reporting sends the mail back with the recipient in a header of its own, and no report part. */
export function junkMailReport(originals: readonly HeaderBlock[]): FeedbackReport | null {
  if (!originals.some((block) => block.has('x-hmxmroriginalrecipient'))) return null;
  return { type: 'abuse', recipients: returnedRecipients(originals), mailFrom: '', userAgent: 'JMRP' };
}

function returnedRecipients(originals: readonly HeaderBlock[]): string[] {
  for (const block of originals) {
    for (const name of RETURNED_FIELDS) {
      const found = (block.get(name) ?? []).flatMap(addressesIn);
      if (found.length > 0) return found;
    }
  }
  return [];
}
