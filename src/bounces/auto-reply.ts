import { field, type HeaderBlock } from './header-block.js';
import type { MailParts } from './mail-parts.js';
import { readTextReport } from './text-report.js';

const AWAY =
  /^\s*(?:(?:re|aw|fwd?)\s*:\s*)*(?:auto(?:matic|mated|matische)?[- ]?(?:reply|response|antwort|respond\w*)|out of (?:the |my )?office|away (?:from|until)|vacation|on (?:leave|holiday)|abwesen|r[ée]ponse automatique|respuesta autom[áa]tica|risposta automatica|i am (?:away|out))/i;
const CHALLENGE =
  /(?:confirm|verify|prove|authori[sz]e).{0,60}(?:you(?:r| are).{0,20}(?:email|e-mail|message|address|human|sender)|sender)|spam ?arrest|challenge.response/i;
const DAEMON = /mailer[-_.]?daemon|mail delivery|^\s*<>\s*$/i;
/** Mail systems by their own names. */
const MAIL_SYSTEM =
  /mailer[-_.]?daemon|post[-_.]?master|mail[-_. ]?(?:delivery|deliver|system|admin)|<>\s*$/i;
/** Who sends reports; also who sends newsletters and acknowledgements, and people who are called so: a hint and no more. */
const REPORTER =
  /(?:^|[^a-z])(?:no-?reply|bounces?|mailer|mta|root)(?:[^a-z]|$)|-(?:admin|owner|request|bounces)@/i;
const REPORT_SUBJECT =
  /undeliver|undelivered|returned? (?:mail|to sender)|(?:mail|message|delivery|sending) ?(?:system )?(?:status|fail|error|problem|delay|notification)|fail(?:ure|ed) (?:notice|delivery)|could(?: not|n't) (?:be )?(?:deliver|send|sent)|delivery (?:report|has)|unzustellbar|zustellfehler|配信不能|non remis|error sending|not delivered|cannot send|unable to deliver/i;
/** Also the words of help desks, shops and moderators. */
const REPORT_WORDS = /rejected|warning/i;
/** What programs say of their own mails: help desks and mailing lists, and mail systems of their reports as well. */
const PROGRAM_FIELDS = ['x-auto-response-suppress', 'x-beenthere'];
/** A server's answer as a report quotes it. A number alone may be that of a ticket, or of a version. */
const QUOTES_SERVER: readonly RegExp[] = [
  /(?:^|[\s:;(<['">])[45]\d\d[ -]#?[45]\.\d{1,3}\.\d{1,3}(?![\d.])/m,
  /(?:#|\bstatus(?: code)?[:=]? ?)[45]\.\d{1,3}\.\d{1,3}(?![\d.])/i,
  /(?:\b(?:said|replied|responded|returned|response|reply)(?: was)? ?[:'"(]|>:) {0,3}['"]?[45]\d\d(?=[\s:-])/i,
  // Only the numbers that refused mail has and a web page has not: those fail with 404 and 500 to 504 as well.
  /\b(?:error|code):? {0,3}['"]?(?:421|45[0-2]|521|55[0-4])(?=[\s:-])/i,
];
/** What a person answers begins so, whatever our own subject was. */
const ANSWER = /^\s*(?:re|aw|antw|sv|rv|odp)\s*:/i;

/** Whether its From or its subject is that of a delivery report, or may be. */
export function looksLikeReport(parts: Pick<MailParts, 'headers' | 'subject'>): boolean {
  return (
    isReport(parts) ||
    REPORTER.test(sender(parts)) ||
    (REPORT_WORDS.test(parts.subject) && !ANSWER.test(parts.subject))
  );
}

/** By its type, its sender or its subject, none of which another mail has. */
export function isReport({ headers, subject }: Pick<MailParts, 'headers' | 'subject'>): boolean {
  return isReportByType(headers) || MAIL_SYSTEM.test(sender({ headers })) || hasReportSubject(subject);
}

/** By its type, or by its sender and its subject both. */
export function isPlainReport({ headers, subject }: MailParts): boolean {
  const system = MAIL_SYSTEM.test(sender({ headers }));
  return isReportByType(headers) || (system && hasReportSubject(subject));
}

/**
 * The account of a whole day that receivers give of all mails of a domain (RFC 8460, 9990): of no mail and of no reader, though
 * it tells of failures, and its type is that of a report.
 */
export function isSummary({ headers, subject }: Pick<MailParts, 'headers' | 'subject'>): boolean {
  return (
    headers.has('tls-report-domain') ||
    /report-type="?tlsrpt/i.test(field(headers, 'content-type')) ||
    (/^\s*report[- ]domain:/i.test(subject) && /submitter:/i.test(subject))
  );
}

function hasReportSubject(subject: string): boolean {
  return REPORT_SUBJECT.test(subject) && !ANSWER.test(subject);
}

/** A multipart/report, and not the kind that says that a mail was read (RFC 8098). */
function isReportByType(headers: HeaderBlock): boolean {
  const type = field(headers, 'content-type');
  return /multipart\/report/i.test(type) && !/disposition-notification/i.test(type);
}

function sender({ headers }: Pick<MailParts, 'headers'>): string {
  return (headers.get('from') ?? []).join(' ');
}

/** Whether it tells what a server has said, by a number that is one of SMTP's for sure. */
export function quotesServer(notice: string): boolean {
  return QUOTES_SERVER.some((pattern) => pattern.test(notice));
}

/**
 * An out-of-office note, a vacation program, a challenge (RFC 3834, and what came before it), what a help desk or a
 * mailing list answers to each mail. Mail systems mark their delivery reports as `auto-replied` too, so those are told
 * apart by who sends them. The other marks count wherever the mail is no report by its type, its sender or its subject,
 * and names no failure: an acknowledgement from `no-reply@` that counted as a bounce would end its reader after five.
 */
export function isAutoReply(parts: MailParts): boolean {
  const { headers, subject } = parts;
  if (headers.has('x-failed-recipients') || isReportByType(headers)) return false;
  const from = field(headers, 'from');
  const submitted = field(headers, 'auto-submitted');
  const marked =
    /auto-(?:replied|notified)/i.test(submitted) ||
    headers.has('x-autoreply') ||
    headers.has('x-autorespond') ||
    headers.has('x-autoresponder-version') ||
    /auto_?reply/i.test(field(headers, 'precedence'));
  if (AWAY.test(subject)) return true;
  const report = isReport(parts);
  if (CHALLENGE.test(subject) && !report) return true;
  const system = DAEMON.test(from) || (MAIL_SYSTEM.test(from) && hasReportSubject(subject));
  if (marked && !system) return true;
  const hinted =
    /auto-generated/i.test(submitted) ||
    /^\s*(?:bulk|junk|list)\b/i.test(field(headers, 'precedence')) ||
    PROGRAM_FIELDS.some((name) => headers.has(name)) ||
    [...headers.keys()].some((name) => name.startsWith('list-'));
  return hinted && !report && !quotesServer(readTextReport(parts.text, [], []).notice);
}
