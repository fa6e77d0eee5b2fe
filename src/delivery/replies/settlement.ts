import { retryDelayMinutes, type ClaimedMessage, type SendOutcome } from '../message/message.js';
import { replyClass, smtpConsequence, type ReplyStage } from './reply-class.js';
import type { ReplyReason } from './reply-reason.js';
import { senderRefusal } from './sender-refusal.js';
import { storable } from '../../values/storable-text.js';

/** What was wrong with a relay as a whole. None of it says anything about the mail that happened to be on its way. */
export type RelayTrouble =
  'connect' | 'silent' | 'stalled' | 'auth' | 'sender_refused' | 'throttled' | 'putting_off';

/** What the ledger writes down about one attempt. */
export interface Settlement {
  id: string;
  epoch: number;
  /** `ready` is tried again at `dueAt`. `held` waits for the owner. `held_back`: the barrier said no, the ledger finds out why. */
  state: 'ready' | 'held' | 'accepted' | 'rejected' | 'unknown' | 'expired' | 'held_back';
  reason: string | null;
  dueAt: Date | null;
  code: number | null;
  reply: string | null;
  stage: string;
  /** On the application's clock; null unless accepted. */
  acceptedAt: Date | null;
  /** False when it says nothing about this mail: the relay out of reach, our login or sender refused. */
  countsAsAttempt: boolean;
  /** The re-send of a transactional mail whose first attempt is unknown. */
  countsAsUnknown: boolean;
  relay: string | null;
  tls: string | null;
  durationMs: number;
}

/**
 * Without what a foreign server has said, which PostgreSQL may not take; null where that is how it is. That the mail was taken
 * must be known without the words for it: it would be sent once more.
 */
export function withoutWords(settlement: Settlement): Settlement | null {
  const { code, reply, tls } = settlement;
  const isBare = code === null && reply === null && tls === null;
  return isBare ? null : { ...settlement, code: null, reply: null, tls: null };
}

const STAGES: Readonly<Record<string, ReplyStage>> = {
  'MAIL FROM': 'mail',
  'RCPT TO': 'rcpt',
  DATA: 'data',
  BODY: 'body',
};

/** Nothing of this has to do with the mail: it waits until it is put right, for as long as it takes. */
const OUR_TROUBLE: ReadonlySet<string> = new Set(['connect', 'login', 'signing', 'kept waiting']);
const OUR_TROUBLE_MINUTES = 1;
/** It went no further than the relay, and another one works: a confirmation is not to wait for the one that does not. */
const ELSEWHERE_SECONDS = 2;
const NOT_REACHED: ReadonlySet<string> = new Set(['connect', 'login']);
/** The relay went silent or away in the middle, which is its own doing; or a mail's, when the relay works for others. */
const RELAY_LOST: ReadonlySet<string> = new Set(['envelope', 'barrier']);
/**
 * What is said of one recipient, behind MAIL FROM, says nothing about the pace of others, nor about the relay. Greylisting
 * refuses the first try of everybody, however slowly they are written to.
 */
const OF_RECIPIENT: ReadonlySet<ReplyReason> = new Set<ReplyReason>([
  'user_unknown',
  'moved',
  'mailbox_full',
  'mailbox_busy',
  'suspended',
  'filtered',
  'greylisted',
]);
/** Words and statuses that are about one recipient's mailbox, and those that are about our account there. */
const THEIRS = /\b4\.2\.2\b|mail ?box|\buser|\brecipient/i;
const OURS = /\byour (?:\w+ )?(?:account|ip)\b/i;
/** What a system says of its own state: a full disk, a filter that does not answer. Receivers' systems have one, too. */
const OF_SYSTEM: ReadonlySet<ReplyReason> = new Set<ReplyReason>([
  'system_error',
  'network_error',
  'mailer_error',
  'expired',
  'unclear',
]);
/** RFC 3463: the mail system. At RCPT, where receivers greylist in words of their own, nothing less tells of one. */
const SYSTEM_STATUS = /\b4\.3\.\d{1,3}\b/;
/** What a relay says of one sender's domain, and not of its own state. */
const NAMES_SENDER: ReadonlySet<ReplyReason> = new Set(['sender_rejected', 'auth_failure']);
/** "Too many messages": the queue goes slower by itself, so this is only how soon the one mail asks again. */
const LATER_MINUTES = 5;
/** "Receiving mail at a rate": such a mailbox is busy for minutes or for most of a day. */
const BUSY_FIRST_MINUTES = 15;
const BUSY_LONGEST_MINUTES = 120;
const UNKNOWN_RESEND_MINUTES = 1;
/** A mail that has failed so often may be what ends the connection: it must not try a relay again and again, for nothing. */
const SUSPECT_FROM_ATTEMPT = 3;

/**
 * From what happened on the wire to what is written down. Pure. A bulk mail whose body was under way when the
 * connection broke is `unknown` and stays so; a transactional one is sent once more under the same Message-ID, because
 * a receipt that never comes is worse than one that comes twice. `probe`: the relay was known to be out, and this mail
 * was taken to find out whether it still is. `elsewhere`: another relay is believed to work.
 */
export function settlementOf(
  message: Pick<ClaimedMessage, 'id' | 'epoch' | 'attempt' | 'class' | 'unknownCount'>,
  outcome: SendOutcome,
  {
    now,
    durationMs,
    relay,
    tls,
    probe = false,
    elsewhere = false,
  }: { now: Date; probe?: boolean; elsewhere?: boolean } & Pick<Settlement, 'durationMs' | 'relay' | 'tls'>,
): Settlement {
  const base: Settlement = {
    id: message.id,
    epoch: message.epoch,
    state: 'ready',
    reason: null,
    dueAt: null,
    code: null,
    reply: null,
    stage: 'done',
    acceptedAt: null,
    countsAsAttempt: true,
    countsAsUnknown: false,
    relay,
    tls,
    durationMs,
  };
  switch (outcome.kind) {
    case 'accepted':
      return {
        ...base,
        state: 'accepted',
        code: outcome.code,
        reply: storable(outcome.reply),
        acceptedAt: now,
      };
    case 'held_back':
      return { ...base, state: 'held_back', stage: 'barrier', countsAsAttempt: false };
    case 'unsendable':
      return { ...base, state: 'rejected', reason: storable(outcome.reason), stage: 'render' };
    case 'unfit':
      return { ...base, state: 'held', reason: outcome.reason, stage: 'render', countsAsAttempt: false };
    case 'unknown':
      return { ...base, ...unknown(message, outcome.reason, now), stage: 'body' };
    case 'not_sent':
      return { ...base, ...notSent(message, outcome, { now, probe, elsewhere }), stage: outcome.stage };
    case 'refused':
      return { ...base, ...refused(message, outcome, { now, probe, elsewhere }) };
    default:
      return outcome satisfies never;
  }
}

/** The trouble of ours behind an outcome, for the relay's breaker; null when the relay did its part. */
export function relayTrouble(outcome: SendOutcome): RelayTrouble | null {
  if (outcome.kind === 'not_sent') {
    if (outcome.stage === 'login') return 'auth';
    if (outcome.stage === 'connect') return 'connect';
    return RELAY_LOST.has(outcome.stage) ? 'silent' : null;
  }
  if (outcome.kind === 'unknown') return 'silent';
  if (outcome.kind !== 'refused' || outcome.senderAlone) return null;
  if (isOfRecipient(outcome)) return null;
  if (outcome.ofRelay) return 'putting_off';
  const { action, reason } = consequence(outcome);
  if (outcome.code === 421 || (action === 'retry' && (reason === 'rate_limited' || isAtSender(outcome))))
    return 'throttled';
  // Behind MAIL FROM it may be one recipient's server that speaks: others are not to wait for it, receipts least of all.
  return action === 'sender' && (isAtSender(outcome) || reason === 'relay_denied') ? 'sender_refused' : null;
}

/**
 * Whether a mail was refused for good because of us, by its recipient's server or in its name. A relay that relays nothing
 * for us is the relay's trouble, and the mail waits for that.
 */
export function blamesSender(outcome: SendOutcome): boolean {
  if (outcome.kind !== 'refused' || isAtSender(outcome)) return false;
  const { action, reason } = consequence(outcome);
  return action === 'sender' && reason !== 'relay_denied';
}

/** Whether the reply speaks of this recipient alone: then no queue goes slower for it, nor is the relay in trouble. */
export function isOfRecipient(outcome: SendOutcome): boolean {
  return outcome.kind === 'refused' && !isAtSender(outcome) && OF_RECIPIENT.has(consequence(outcome).reason);
}

/**
 * Whether it is put off, behind MAIL FROM, for the state of a system: of the relay's own, or of the receiver's when that one
 * is asked meanwhile. One such reply says nothing of a relay, see `PutOffs`.
 */
export function isOfSystem(outcome: SendOutcome): boolean {
  if (outcome.kind !== 'refused' || isAtSender(outcome) || isOfRecipient(outcome)) return false;
  const { stage, reply } = outcome;
  if (stage === 'RCPT TO' ? !SYSTEM_STATUS.test(reply) : THEIRS.test(reply)) return false;
  const { action, reason } = consequence(outcome);
  return action === 'retry' && OF_SYSTEM.has(reason) && said(outcome).reason !== 'greylisted';
}

/** Of such a one: said at the mail's end, of a mail system and not of a receiver, none of which greylists so. */
export function isPlainlyOfSystem(outcome: SendOutcome): boolean {
  if (outcome.kind !== 'refused' || outcome.stage === 'RCPT TO') return false;
  return outcome.code === 452 || SYSTEM_STATUS.test(outcome.reply);
}

/**
 * Of a refusal for now at MAIL FROM, which may be one sender's trouble or the relay's: whether it speaks of the sender.
 * Null for any other outcome.
 */
export function namesSender(outcome: SendOutcome): boolean | null {
  if (outcome.kind !== 'refused' || !isAtSender(outcome)) return null;
  const { action, reason } = consequence(outcome);
  return action === 'retry' ? NAMES_SENDER.has(reason) : null;
}

/**
 * Whether the outcome shows a relay at work: it took the mail, turned it down for good for its recipient or, behind MAIL
 * FROM, for its sender, or put it off for its recipient alone, whose mailbox is full or whose server greylists. A probe
 * that ended so and proved nothing would be followed by the next one at once, mail by mail.
 */
export function provesRelay(outcome: SendOutcome): boolean {
  if (outcome.kind === 'accepted' || isOfRecipient(outcome)) return true;
  return blamesSender(outcome) || (outcome.kind === 'refused' && consequence(outcome).action === 'person');
}

type Retry = Pick<Settlement, 'state' | 'reason' | 'dueAt'>;
type Told = { now: Date; probe: boolean; elsewhere: boolean };

/**
 * No relay is trusted to drop a second copy by an idempotency key, though two say that they read one from a header (Resend:
 * `Resend-Idempotency-Key`, kept for 24 hours; EmailEngine: `X-EE-Idempotency-Key`, with no time stated). Resend refuses the
 * same key with a different payload (409 of its HTTP API), and says neither what a payload is over SMTP nor what it answers
 * there; and no two tries of a mail are the same octets, as a signature holds the time it was made. So an ordinary try after
 * a 451 could become a refusal for good, and nobody could say whether a second copy was dropped. Besides, a worker that was
 * killed cannot say which of several relays had its mail. Until a provider states that, the owner's word is asked.
 */
function unknown(
  { class: messageClass, unknownCount }: Pick<ClaimedMessage, 'class' | 'unknownCount'>,
  reason: string,
  now: Date,
): Retry & { countsAsUnknown: boolean } {
  if (messageClass === 'marketing' || unknownCount > 0)
    return { state: 'unknown', reason, dueAt: null, countsAsUnknown: true };
  return { state: 'ready', reason, dueAt: inMinutes(now, UNKNOWN_RESEND_MINUTES), countsAsUnknown: true };
}

function notSent(
  { attempt }: Pick<ClaimedMessage, 'attempt'>,
  { stage, reason }: { stage: string; reason: string },
  { now, probe, elsewhere }: Told,
): Retry & { countsAsAttempt: boolean } {
  // Counted unless the relay is known to be out: a mail that makes a good relay end the connection must come to an end.
  const suspect = attempt >= SUSPECT_FROM_ATTEMPT;
  const ours = OUR_TROUBLE.has(stage) || (probe && !suspect && RELAY_LOST.has(stage));
  if (!ours) {
    const next = later(attempt, reason, now);
    // It came to nothing before any relay was asked, and not for want of time.
    const state = stage === 'render' && next.state === 'expired' ? 'rejected' : next.state;
    return { ...next, state, countsAsAttempt: true };
  }
  // A key is put right by a person, and all mails of the domain ask again each time.
  const minutes = stage === 'signing' ? LATER_MINUTES : OUR_TROUBLE_MINUTES;
  const isSoon = elsewhere && (NOT_REACHED.has(stage) || RELAY_LOST.has(stage));
  const dueAt = isSoon ? inSeconds(now, ELSEWHERE_SECONDS) : inMinutes(now, minutes);
  return { state: 'ready', reason, dueAt, countsAsAttempt: false };
}

function refused(
  { attempt, epoch }: Pick<ClaimedMessage, 'attempt' | 'epoch'>,
  outcome: Extract<SendOutcome, { kind: 'refused' }>,
  { now, probe, elsewhere }: Told,
): Retry & Pick<Settlement, 'countsAsAttempt' | 'stage' | 'code' | 'reply'> {
  const { stage, code, reply } = outcome;
  const { action, reason } = consequence(outcome);
  const said = { stage, code, reply: storable(reply), countsAsAttempt: true };
  if (action === 'person') return { ...said, state: 'rejected', reason, dueAt: null };
  if (blamesSender(outcome)) return { ...said, state: 'held', reason: senderRefusal(reason), dueAt: null };
  const ours = { ...said, state: 'ready', reason, countsAsAttempt: false } as const;
  // Of relays that were believed to work each may refuse it so, and a broadcast would go round among them.
  if (probe && elsewhere && isAtSender(outcome) && !outcome.senderAlone)
    return { ...ours, dueAt: inSeconds(now, ELSEWHERE_SECONDS) };
  // About the pace of all mails or the relay's own state, and no fault of the one that happened to be next.
  const ofRelay = outcome.ofRelay || (isAtSender(outcome) && !outcome.senderAlone);
  if (action === 'retry' && (reason === 'rate_limited' || ofRelay))
    return { ...ours, dueAt: inMinutes(now, LATER_MINUTES) };
  // Nor is it the mail's fault that its reader gets many: it is tried for as long as one that is put off, see StaleMails.
  if (action === 'retry' && reason === 'mailbox_busy' && !isAtSender(outcome))
    return { ...ours, dueAt: inMinutes(now, busyMinutes(epoch)) };
  // Said of this one mail, or of a sender whom the relay refuses while it takes others: nothing but the count of its
  // tries would ever end it.
  const isOurs = isAtSender(outcome) || action === 'sender';
  // "Relaying denied" by a relay that takes other mails may be the word of one recipient's server, for good: each try at
  // a relay that works counts, and a relay that is known to be out is tried for nothing.
  const mayBeRecipients = !isAtSender(outcome) && !probe;
  if (!isOurs || outcome.senderAlone || mayBeRecipients) return { ...said, ...later(attempt, reason, now) };
  // Where one recipient alone is meant, other mails are to try the relay meanwhile.
  const minutes = isAtSender(outcome) ? OUR_TROUBLE_MINUTES : LATER_MINUTES;
  return { ...ours, dueAt: inMinutes(now, minutes) };
}

/** No recipient has been named yet: whatever is said, it is not about them. */
function isAtSender({ stage }: Extract<SendOutcome, { kind: 'refused' }>): boolean {
  return stage === 'MAIL FROM';
}

function said({
  stage,
  code,
  reply,
}: Extract<SendOutcome, { kind: 'refused' }>): ReturnType<typeof smtpConsequence> {
  return smtpConsequence({ stage: STAGES[stage] ?? null, replyCode: code, text: reply });
}

/** A refusal for now that seems to be of a recipient, and cannot be known to be, is about the relay or us. */
function consequence(outcome: Extract<SendOutcome, { kind: 'refused' }>): ReturnType<typeof smtpConsequence> {
  const judged = said(outcome);
  if (
    judged.action !== 'retry' ||
    !OF_RECIPIENT.has(judged.reason) ||
    mayBeOfRecipient(outcome, judged.reason)
  )
    return judged;
  return { ...replyClass('system_error'), action: 'retry' };
}

/** 421 closes the connection, for all mails: "account suspended" is then said of us. */
function mayBeOfRecipient(
  { stage, code, reply }: Extract<SendOutcome, { kind: 'refused' }>,
  reason: ReplyReason,
): boolean {
  if (reason === 'mailbox_busy') return true;
  return code !== 421 && !OURS.test(reply) && (stage === 'RCPT TO' || THEIRS.test(reply));
}

/** `epoch`: how often the mail was claimed. */
function busyMinutes(epoch: number): number {
  return Math.min(BUSY_FIRST_MINUTES * 2 ** Math.max(0, epoch - 1), BUSY_LONGEST_MINUTES);
}

function later(attempt: number, reason: string, now: Date): Retry {
  const minutes = retryDelayMinutes(attempt);
  if (minutes === null) return { state: 'expired', reason, dueAt: null };
  return { state: 'ready', reason, dueAt: inMinutes(now, minutes) };
}

function inMinutes(now: Date, minutes: number): Date {
  return inSeconds(now, minutes * 60);
}

function inSeconds(now: Date, seconds: number): Date {
  return new Date(now.getTime() + seconds * 1_000);
}
