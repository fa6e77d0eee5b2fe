import { classifyReply, replyClass } from '../delivery/replies/reply-class.js';
import type { ReplyReason } from '../delivery/replies/reply-reason.js';
import { addressesIn, sameAddress } from './addresses.js';
import {
  isAutoReply,
  isPlainReport,
  isReport,
  isSummary,
  looksLikeReport,
  quotesServer,
} from './auto-reply.js';
import { parseDeliveryReport, replyCodeIn, statusIn, type RecipientReport } from './bounce-report.js';
import {
  FEEDBACK_VERDICTS,
  junkMailReport,
  parseFeedbackReport,
  type FeedbackReport,
} from './feedback-report.js';
import { field, type HeaderBlock } from './header-block.js';
import { finding, found, judged, type Finding, type JudgedMail } from './judged-mail.js';
import { readMail, type FeedbackPart, type MailParts } from './mail-parts.js';
import { readSesEvent } from './providers/ses.js';
import { readTextReport, type TextReport } from './text-report.js';

/**
 * What a mail to the bounce address is about: a delivery report, a complaint, an automatic answer or nothing of the
 * kind. Reads the standards' fields first (RFC 3464, 5965), then the words. Never throws, and its work is bounded
 * whatever the mail holds.
 */
export async function judgeMail(raw: Uint8Array): Promise<JudgedMail> {
  const reports = await judgeReports(raw);
  const [only] = reports;
  if (only !== undefined && reports.length === 1) return only;
  const findings = reports.flatMap((report) => report.findings);
  const originals = reports.flatMap((report) => report.originals);
  return judged(findings, only?.reportingMta ?? null, originals);
}

/**
 * As `judgeMail`, one for each report in it: providers gather complaints, and people pass several reports on in one mail.
 * Each of several stands for itself: which of them the mail was addressed for, nobody knows.
 */
export async function judgeReports(raw: Uint8Array): Promise<JudgedMail[]> {
  const parts = await readMail(raw);
  if (isSummary(parts)) return [judged([], null, [])];
  const complaints = parts.feedback.length > 1 ? parts.feedback.map((one) => complaintIn(one)) : [];
  const fields = complaint(parts) ?? sesNotice(parts) ?? deliveryReport(parts);
  const wrapped = fields === null ? await wrappedReports(parts) : [];
  const several = [...complaints, ...wrapped];
  if (several.length > 1) return several;
  const judgement = fields ?? wrapped[0] ?? autoReply(parts) ?? textReport(parts) ?? judged([], null, []);
  const addressedTo = ADDRESSED.flatMap((name) => parts.headers.get(name) ?? []).flatMap(addressesIn);
  return [{ ...judgement, addressedTo }];
}

const ADDRESSED = ['delivered-to', 'x-original-to', 'envelope-to', 'x-envelope-to', 'x-forwarded-to', 'to'];

const MAX_WRAPPED = 20;

/** Gateways send the report they got inside one of their own that says nothing. One level is looked into. */
async function wrappedReports({ returned, originals }: MailParts): Promise<JudgedMail[]> {
  const inner = returned
    .filter((_, at) => /multipart\/report/i.test(field(originals[at], 'content-type')))
    .slice(0, MAX_WRAPPED);
  const read = await Promise.all(inner.map(readMail));
  return read.flatMap((parts) => complaint(parts) ?? deliveryReport(parts) ?? []);
}

/** Amazon's notices, where the topic sends them by mail. */
function sesNotice({ text }: MailParts): JudgedMail | null {
  const lines = text.split('\n').map((line) => line.trim());
  const json = lines.find((line) => /^\{"(?:notificationType|eventType)"/.test(line) && line.endsWith('}'));
  return json === undefined ? null : readSesEvent(json);
}

function complaint(parts: MailParts): JudgedMail | null {
  const told = readTextReport(parts.text, [], []).original;
  const originals = told === null ? parts.originals : [...parts.originals, told];
  const report = parts.feedback[0];
  if (report) return complaintIn({ ...report, originals });
  const junk = junkMailReport(parts.originals);
  return junk === null ? null : complained(junk, parts.originals);
}

function complaintIn({ text, originals }: FeedbackPart): JudgedMail {
  return complained(parseFeedbackReport(text, originals), originals);
}

function complained(report: FeedbackReport, originals: readonly HeaderBlock[]): JudgedMail {
  const said = { verdict: FEEDBACK_VERDICTS[report.type], reason: report.type };
  const recipients = report.recipients.length > 0 ? report.recipients : [null];
  const findings = recipients.map((recipient) => found({ recipient, ...NOTHING_QUOTED }, said));
  const envelope = new Map([['return-path', [report.mailFrom]]]);
  return judged(findings, report.userAgent === '' ? null : report.userAgent, [...originals, envelope]);
}

const NOTHING_QUOTED = { status: null, replyCode: null, diagnostic: '' };

function deliveryReport(parts: MailParts): JudgedMail | null {
  const embedded = /^final-recipient\s*:/im.test(parts.text) ? [parts.text] : [];
  const sentTo = parts.originals.flatMap((block) => block.get('to') ?? []).flatMap(addressesIn);
  const reports = [...parts.deliveryStatus, ...embedded].map((text) => parseDeliveryReport(text, sentTo));
  const report = reports.find(({ recipients }) => recipients.length > 0);
  if (!report) return null;
  const told = readTextReport(parts.text, [], parts.to.flatMap(addressesIn));
  const findings = report.recipients.map((one) => recipientFinding(one, told, report.reportingMta ?? ''));
  const originals = told.original === null ? parts.originals : [...parts.originals, told.original];
  return judged(findings, report.reportingMta, originals);
}

/** PowerMTA's own classes. The first three it knows better than the reply shows; the others help where that is mute. */
const SURE_CATEGORIES: Readonly<Record<string, ReplyReason>> = {
  'bad-mailbox': 'user_unknown',
  'inactive-mailbox': 'suspended',
  'bad-domain': 'host_unknown',
};
const CATEGORIES: Readonly<Record<string, ReplyReason>> = {
  'spam-related': 'spam',
  'policy-related': 'policy',
  'content-related': 'content',
  'virus-related': 'virus',
  'relaying-issues': 'relay_denied',
  'invalid-sender': 'sender_rejected',
  'protocol-errors': 'protocol',
  'quota-issues': 'mailbox_full',
  'message-expired': 'expired',
  'no-answer-from-host': 'network_error',
  'bad-connection': 'network_error',
  'routing-errors': 'network_error',
};

const MUTE: ReadonlySet<string> = new Set<ReplyReason>(['unclear', 'system_error', 'filtered']);

function recipientFinding(report: RecipientReport, told: TextReport, mta: string): Finding {
  const { action, status, replyCode, diagnostic } = report;
  const own = told.recipients.find(
    ({ recipient }) => report.recipient !== null && sameAddress(recipient, report.recipient),
  );
  const recipient = report.recipient ?? told.recipients[0]?.recipient ?? null;
  const quoted = { recipient, status, replyCode, diagnostic };
  if (action === 'delayed') return found(quoted, replyClass('delayed'));
  if (/^(?:deliver|relay|expand)/.test(action) || (action === '' && status?.startsWith('2'))) {
    return found(quoted, replyClass('delivered'));
  }
  const words = classifyReply({ text: told.notice });
  // A report that contradicts itself is no ground for giving up an address.
  if (words.reason === 'mailbox_full' && own === undefined) return found(quoted, words);
  const sure = SURE_CATEGORIES[report.category ?? ''];
  if (sure) return found(quoted, replyClass(sure));
  const said = finding(quoted, own === undefined ? [told.notice] : [own.text, told.notice], mta);
  const category = CATEGORIES[report.category ?? ''];
  return category && MUTE.has(said.reason) ? found(quoted, replyClass(category)) : said;
}

/** Somebody is away, or a program answers: nothing was refused. */
function autoReply(parts: MailParts): JudgedMail | null {
  return isAutoReply(parts) ? answerOf(parts) : null;
}

function answerOf(parts: MailParts): JudgedMail {
  const recipient = parts.from === '' ? null : parts.from;
  return judged([found({ recipient, ...NOTHING_QUOTED }, replyClass('auto_reply'))], null, parts.originals);
}

const STILL_TRYING =
  /warning message only|do(?:es)? not need to re-?send|(?:has|have) (?:not yet been delivered|been delayed)|(?:will|shall) (?:be (?:retried|re-?tried)|continue|keep trying|try again)|delivery attempts will continue|still (?:trying|being)|no action is required/i;

function textReport(parts: MailParts): JudgedMail | null {
  const failed = (parts.headers.get('x-failed-recipients') ?? []).flatMap(addressesIn);
  const from = (parts.headers.get('from') ?? []).flatMap(addressesIn);
  const paths = parts.headers.get('return-path') ?? [];
  const nobody = paths.some((path) => /^<\s*>$/.test(path));
  const isPlain =
    failed.length > 0 || looksLikeReport(parts) || paths.some((path) => /mailer-daemon/i.test(path));
  if (!isPlain && !nobody) return null;
  const own = [...parts.to.flatMap(addressesIn), ...from];
  const told = readTextReport(parts.text, failed, own);
  const returned = told.original === null ? parts.originals : [told.original, ...parts.originals];
  const recipients = told.recipients.length > 0 ? told.recipients : returnedRecipient(returned, own);
  if (STILL_TRYING.test(told.notice) || /\bdelay(?:ed)?\b/i.test(parts.subject)) {
    return judged(
      recipients.map(({ recipient, text }) =>
        found({ recipient, ...NOTHING_QUOTED, diagnostic: text }, replyClass('delayed')),
      ),
      null,
      returned,
    );
  }
  // Programs that answer for people leave the path empty as well, and who does not exist does not answer.
  const answers = recipients.some(({ recipient }) => from.some((one) => sameAddress(one, recipient)));
  if (!isPlain && answers) return answerOf(parts);
  const transcript = parts.returned.map(textStart).find((text) => /^<<< [45]\d\d /m.test(text)) ?? '';
  const isSure = isPlain || parts.originals.length > 0;
  const sentTo = (told.original?.get('to') ?? []).flatMap(addressesIn);
  const contexts = [told.notice, parts.subject, transcript] as const;
  const isProven =
    failed.length > 0 ||
    isPlainReport(parts) ||
    parts.originals.length > 0 ||
    isOurHead(told.original) ||
    transcript !== '' ||
    quotesServer(told.notice);
  const findings = recipients.map(({ recipient, text }) => ({
    ...asFarAsProven(textFinding(recipient, text, contexts), isProven, parts),
    ...(isSure || sentTo.some((one) => sameAddress(one, recipient)) ? {} : { isGuess: true }),
  }));
  return judged(findings, null, returned);
}

/**
 * A text that quotes no server and brings no mail back proves no failure, unless a mail system calls it a report: what a
 * help desk or a shop answers reads the same. Where no rule understands it, it is kept for a person to look at, as five of
 * them would end a reader who lives. That an account does not exist may mean one of theirs: it counts as a mail that did
 * not arrive, and is not enough by itself, unless sender or subject are those of a report.
 */
function asFarAsProven(said: Finding, isProven: boolean, parts: MailParts): Finding {
  if (isProven) return said;
  if (said.reason === 'unclear') return { ...said, ...replyClass('not_a_report') };
  return said.verdict === 'hard' && !isReport(parts) ? { ...said, verdict: 'soft' } : said;
}

/** What servers put into it, and nobody who quotes the mail in an answer. */
function isOurHead(original: HeaderBlock | null): boolean {
  return original !== null && ['message-id', 'received', 'return-path'].some((name) => original.has(name));
}

function textFinding(recipient: string, text: string, contexts: readonly [string, ...string[]]): Finding {
  const near = text.trim() === '' ? contexts[0] : text;
  const quoted = { recipient, status: statusIn(near), replyCode: replyCodeIn(near), diagnostic: near };
  return finding(quoted, contexts);
}

function textStart(mail: Uint8Array): string {
  return new TextDecoder().decode(mail.subarray(0, 16_000));
}

function returnedRecipient(
  originals: JudgedMail['originals'],
  own: readonly string[],
): TextReport['recipients'] {
  const to = originals.flatMap((block) => block.get('to') ?? []).flatMap(addressesIn);
  const recipient = to.find((address) => !own.some((one) => sameAddress(one, address))) ?? to[0];
  return recipient === undefined ? [] : [{ recipient, text: '' }];
}
