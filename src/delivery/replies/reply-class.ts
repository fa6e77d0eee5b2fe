import { REPLY_PHRASES, STATUS_REASONS } from './reply-phrases.js';
import { VERDICT_OF, type ReplyReason, type ReplyVerdict } from './reply-reason.js';

/** How far the conversation was when the reply came: `body` is the reply to the final dot. */
export type ReplyStage = 'connect' | 'auth' | 'mail' | 'rcpt' | 'data' | 'body';

export interface Reply {
  /** RFC 3463, `5.1.1`; one that stands in the text is found there. */
  status?: string | null | undefined;
  replyCode?: number | null | undefined;
  text: string;
  stage?: ReplyStage | null | undefined;
}

export interface ReplyClass {
  verdict: ReplyVerdict;
  reason: ReplyReason;
}

/** The reply codes that say something by themselves (RFC 5321 §4.2.3, RFC 4954 §6). 550 and 554 do not. */
const CODE_REASONS: Readonly<Record<number, ReplyReason>> = {
  421: 'system_error',
  450: 'system_error',
  451: 'system_error',
  500: 'protocol',
  501: 'protocol',
  502: 'protocol',
  503: 'protocol',
  504: 'protocol',
  530: 'relay_denied',
  535: 'relay_denied',
  538: 'relay_denied',
  555: 'protocol',
};

const MAX_TEXT_CHARS = 4_000;
/** RFC 3463 statuses that servers give for want of a better one. */
const VAGUE_STATUS = /^[245]\.(?:\d\.0|7\.1)$/;
const EMBEDDED_STATUS = /(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?![\d.])/g;

/**
 * Judges a refusal by its reason, never by its first digit: most 5xx replies are about a full mailbox, a policy or the
 * sender's standing, and treating those as dead addresses would empty a list. Used for replies during SMTP and for what
 * a report quotes. What no rule knows is `unclear`, which counts as soft.
 */
export function classifyReply(reply: Reply): ReplyClass {
  return classifyInContext(reply, []);
}

/**
 * As `classifyReply`, for a report that says more than it quotes: where the reply itself has no known words and no
 * telling status, `contexts` are asked in their order, before a vague status such as 5.0.0 is.
 */
export function classifyInContext(
  { status, replyCode, text, stage }: Reply,
  contexts: readonly string[],
): ReplyClass {
  const words = normalised(text);
  const statuses = [...(words.match(EMBEDDED_STATUS) ?? []), ...(status ? [status] : [])];
  const own = byPhrase(words, statuses);
  const told =
    own ??
    (saysNoMailHere(replyCode ?? null, statuses) ? 'no_mail_accepted' : null) ??
    byStatus(statuses.filter((one) => !VAGUE_STATUS.test(one))) ??
    contexts.map((one) => byPhrase(normalised(one), statuses)).find((one) => one !== null);
  const reason = told ?? byStatus(statuses) ?? byCode(replyCode ?? null);
  const doubtful = !stage && (Boolean(replyCode) || (own !== null && statuses.length > 0));
  if (reason === 'user_unknown' && doubtful && !isVouched(words, statuses)) return replyClass('filtered');
  return replyClass(
    atStage(
      reason,
      { statuses, isFinal: isFinal(replyCode ?? null, statuses), isTold: told !== undefined },
      stage ?? null,
    ),
  );
}

/** A report of a mail that was given up after days quotes an answer that was for now. */
function isFinal(code: number | null, statuses: readonly string[]): boolean {
  return code === null ? statuses.some((one) => one.startsWith('5')) : code >= 500;
}

/**
 * Whether "no such user" in a quoted reply may be believed when it is not known to be the answer to RCPT: it names the
 * address, or a status says so too. A mail system's own account needs neither.
 */
function isVouched(words: string, statuses: readonly string[]): boolean {
  return (
    /<address>|mailbox unavailable \(-?\d+:|5\.4\.1 .{0,40}access denied/.test(words) ||
    statuses.some((one) => /^[45]\.1\./.test(one))
  );
}

/** 521 and 556 say that a host takes no mail at all (RFC 7504), unless the status beside them tells of something else. */
function saysNoMailHere(code: number | null, statuses: readonly string[]): boolean {
  return (code === 521 || code === 556) && statuses.every((one) => /^5\.(?:\d\.0|3\.2|1\.10)$/.test(one));
}

export function replyClass(reason: ReplyReason): ReplyClass {
  return { verdict: VERDICT_OF[reason], reason };
}

/**
 * What a sender does about a refusal during SMTP. `retry`: any 4xx, whatever it says. `person`: a final answer about this
 * recipient, to be counted or suppressed by `verdict`. `sender`: a final answer about us; the person stays untouched and
 * the mail waits: for the relay when it was said before RCPT, for the owner after that. A 5xx to MAIL FROM or AUTH is always
 * about us.
 */
export function smtpConsequence(
  reply: Reply & { replyCode: number },
): ReplyClass & { action: 'retry' | 'person' | 'sender' } {
  const judged = classifyReply(reply);
  if (reply.replyCode < 500) return { ...judged, action: 'retry' };
  if (reply.stage === 'connect' || reply.stage === 'auth' || reply.stage === 'mail') {
    const ours = judged.verdict === 'sender' ? judged : replyClass('sender_rejected');
    return { ...ours, action: 'sender' };
  }
  return { ...judged, action: judged.verdict === 'sender' ? 'sender' : 'person' };
}

/** What relays put in front of the reason proper, and which is none where one follows. */
const WRAPPERS = /5\.1\.0 - unknown address error (?=\d)|recipient address rejected: (?=[a-z])/g;

/** Addresses and message ids out (they hold words by chance), continuation codes out, blanks to one, lower case. */
function normalised(text: string): string {
  return text
    .slice(0, MAX_TEXT_CHARS)
    .replace(/\r?\n/g, ' ')
    .replace(/<?(?:"[^"<>\s]{0,64}"|[^\s<>"@:;,()[\]]{1,128})@[^\s<>@,;:)\]]{1,255}>?/g, '<address>')
    .replace(/\b([245]\d\d)-(?=\S)/g, '$1 ')
    .replace(/\s+/g, ' ')
    .toLowerCase()
    .replace(WRAPPERS, '');
}

function byPhrase(words: string, statuses: readonly string[]): ReplyReason | null {
  for (const { reason, says, unlessStatus } of REPLY_PHRASES) {
    if (!says.test(words)) continue;
    if (unlessStatus && statuses.some((status) => unlessStatus.test(status))) continue;
    return reason;
  }
  return null;
}

/** The most telling status wins: a gateway's own `5.0.0` or `5.1.0` stands beside the one it quotes. */
function byStatus(statuses: readonly string[]): ReplyReason | null {
  for (const status of statuses) {
    const reason = STATUS_REASONS[status.slice(2)] ?? (isPolicy(status) ? 'policy' : undefined);
    if (reason) return reason;
  }
  return null;
}

/** x.7 is about security and policy (RFC 3463 §3.8). */
function isPolicy(status: string): boolean {
  return status.slice(1).startsWith('.7.');
}

function byCode(code: number | null): ReplyReason {
  return (code === null ? undefined : CODE_REASONS[code]) ?? 'unclear';
}

/**
 * What a final answer may say about a mailbox or about nothing known, and cannot mean while no recipient was named: our
 * server's address, name or sender is all there is to refuse. Held against the reader it would in time give up everybody
 * at that provider.
 */
const NOT_BEFORE_RCPT: ReadonlySet<ReplyReason> = new Set<ReplyReason>([
  'unclear',
  'filtered',
  'suspended',
  'mailbox_full',
  'system_error',
]);

/**
 * "No such user" after the body was sent is not what a directory says, which would have spoken at RCPT: it is a
 * recipient's filter in disguise, and the address may well live. The same beside x.2.1, a mailbox that is there and
 * disabled, and beside x.7, a policy. Before RCPT nobody knows the recipient yet, so there it is the sender that "does not exist".
 *
 * The recipient was taken at RCPT, so what is refused for good at DATA and behind it is the mail, and by it us, wherever the
 * answer names nothing: "554 Transaction failed: the identity is not verified" says a relay of every mail alike, and as the
 * reader's fault it would give up one after the other. What does name a mailbox (full, suspended, a filter) stays with the
 * reader, as only they can mend it, and a server's own trouble stays that unless its status is one of policy. Such an answer
 * is `unexplained`, as is a bare x.7.1 from RCPT on: where one mailbox alone gives it again and again, see
 * `RefusingMailboxes`.
 */
function atStage(
  reason: ReplyReason,
  { statuses, isFinal: final, isTold }: { statuses: readonly string[]; isFinal: boolean; isTold: boolean },
  stage: ReplyStage | null,
): ReplyReason {
  if (stage === 'connect' || stage === 'auth' || stage === 'mail') {
    const isDead = VERDICT_OF[reason] === 'hard' && reason !== 'no_mail_accepted';
    return isDead || (final && NOT_BEFORE_RCPT.has(reason)) ? 'sender_rejected' : reason;
  }
  if (stage === 'data' || stage === 'body') {
    const isOfMail = reason === 'unclear' || (reason === 'system_error' && statuses.some(isPolicy));
    if (final && isOfMail) return 'unexplained';
  }
  if (reason === 'policy' && !isTold && final && stage !== null) return 'unexplained';
  if (reason !== 'user_unknown') return reason;
  if (statuses.some(isPolicy)) return 'filtered';
  if (stage === 'rcpt') return reason;
  const disabled = statuses.some((status) => /^[45]\.2\.1$/.test(status));
  return stage !== null || disabled ? 'filtered' : reason;
}
