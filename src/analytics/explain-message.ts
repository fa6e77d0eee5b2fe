import {
  BROADCAST_PAUSED,
  FREQUENCY_CAP,
  LEFT_BEHIND,
  LEFT_BY_LINK,
  NOT_ACTIVE,
  ON_SUPPRESSION_LIST,
  OUTSIDE_HOURS,
  PAUSED_BY_READER,
  SEQUENCE_PAUSED,
  WAITS_FOR_KEY,
  WAITS_FOR_TEST,
  UNFIT_REASONS,
} from '../delivery/message/state-reasons.js';
import { limitName } from '../delivery/pacing/limit-name.js';
import { LONGEST_WAIT_DAYS } from '../delivery/waiting/longest-wait.js';
import { OVERDUE, RESTORED } from '../delivery/message/overdue.js';
import type { ReplyReason } from '../delivery/replies/reply-reason.js';
import { refusedFor } from '../delivery/replies/sender-refusal.js';
import type { StepTiming } from '../sequences/steps/schedule.js';
import { attemptRules, type AttemptFacts } from './explain-attempts.js';
import { broadcastTimeRule, zoneOfBroadcast, type BroadcastTimeFacts } from './explain-broadcast-time.js';
import { cancelled, end, inWords } from './explain-end.js';
import {
  broadcastSplitRule,
  otherPathRules,
  splitRules,
  type BroadcastSplitFacts,
  type SplitFacts,
} from './explain-split.js';
import { wordsRule, type WordsFacts } from './explain-words.js';
import { useRules } from './explain-use.js';
import {
  explanation,
  instantText,
  quoted,
  rule,
  timingText,
  type Explanation,
  type Rule,
} from './explanation.js';
import {
  broadcastStop,
  CAUSES,
  consentRule,
  leftByLinkRule,
  offerRules,
  pauseRule,
  sequencePausedRule,
  suppressionRule,
  wishRules,
  type BroadcastFacts,
  type OfferFacts,
  type PersonFacts,
  type SuppressionFacts,
} from './explain-rules.js';

export interface MessageFacts {
  now: Date;
  message: {
    id: string;
    kind: string;
    class: 'transactional' | 'marketing';
    state: string;
    stateReason: string | null;
    topic: string;
    stepKey: string | null;
    dueAt: Date;
    createdAt: Date;
    expiresAt: Date | null;
    dataAt: Date | null;
    settledAt: Date | null;
    acceptedAt: Date | null;
    unknownCount: number;
    /** Why it is not tried once more; null as long as it is. */
    withdrawn: string | null;
    priority?: number;
    /** Whether its broadcast is for lists, and the reader has left them. */
    offItsList?: boolean;
  } & OfferFacts;
  person: PersonFacts | null;
  suppressions: SuppressionFacts[];
  optedOutSince: Date | null;
  /** From the outermost. */
  splits: SplitFacts[];
  broadcastSplit: BroadcastSplitFacts | null;
  sequence: { title: string; version: number; timing: StepTiming; zone: string } | null;
  broadcast: BroadcastFacts | null;
  words?: WordsFacts | null;
  broadcastTime: BroadcastTimeFacts | null;
  attempts: AttemptFacts[];
  /** `source`: by which way; `smtp_reply` was said while the mail was handed over, and nothing came back. `trusted`: its reader cannot have written it. */
  reports: { verdict: string; reason: string; source: string; trusted: boolean; at: Date }[];
  /** Whether the mails of its sequence are paused: then the claim holds it. */
  sequencePaused: boolean;
  /** What the rules about late mails and restored backups make of it when it comes up; null when they let it go. */
  late: { action: 'held' | 'expired'; reason: string } | null;
  /** Why this database may not send at all at present; null when it may. */
  refusal: string | null;
  /** Until when mails of lists wait at the latest, as some reader may have left whom the database does not know of; null: they do not. */
  leavings: Date | null;
  /** Until when all mails wait at the latest for the bounce mailbox to be read, after the owner has confirmed a restored backup. */
  mailbox: Date | null;
  /** Buckets that let no mail of this kind through just now. */
  pacing: { bucket: string; byDay: boolean; until: Date }[];
  relays: { name: string; state: string; retryAt: Date | null; reason: string | null }[];
}

const GREYLISTED: ReplyReason = 'greylisted';

/** Before the relay was asked; in the ledger's own words. */
const OPEN = new Set(['ready', 'held', 'leased']);

/** The chain of rules behind one planned mail. Pure: the same facts give the same words. */
export function explainMessage(facts: MessageFacts): Explanation {
  return explanation([
    plannedBy(facts),
    ...offerRules(facts.message),
    ...splitRules(facts.splits),
    ...otherPathRules(facts.splits),
    ...(facts.broadcastSplit === null ? [] : [broadcastSplitRule(facts.broadcastSplit)]),
    ...(facts.words ? [wordsRule(facts.words, facts.message)] : []),
    timing(facts),
    messageClass(facts),
    ...wants(facts),
    ...lifecycle(facts),
    ...attemptRules(facts.attempts),
    ...end(facts),
    ...facts.reports.map(reportRule),
  ]);
}

function reportRule({ verdict, reason, source, trusted, at }: MessageFacts['reports'][number]): Rule {
  const words = `${verdict}, ${inWords(reason)}`;
  if (!trusted) {
    const does =
      verdict === 'sender'
        ? 'counts only with those of many other readers'
        : 'does no more than the unsubscribe link';
    return rule(
      'REPORT_DOUBTED',
      'info',
      `A report came back that may be forged, and ${does}: ${words}.`,
      at,
    );
  }
  const how = source === 'smtp_reply' ? 'What the server said counts as' : 'A report came back';
  return rule(`REPORT_${verdict.toUpperCase()}`, 'info', `${how}: ${words}.`, at);
}

function plannedBy({ message, sequence, broadcast }: MessageFacts): Rule {
  const { kind, stepKey, createdAt } = message;
  if (broadcast !== null)
    return rule(
      'PLANNED_BY_BROADCAST',
      'info',
      `Planned by the broadcast ${quoted(broadcast.title)}.`,
      createdAt,
    );
  if (kind === 'sequence') {
    const from = sequence === null ? '' : ` of ${quoted(sequence.title)}, version ${sequence.version}`;
    return rule('PLANNED_BY_SEQUENCE', 'info', `Planned by step ${quoted(stepKey ?? '')}${from}.`, createdAt);
  }
  const [code, cause] = CAUSES[kind] ?? ['PLANNED', 'Planned.'];
  return rule(code, 'info', cause, createdAt);
}

function timing({ message, sequence, broadcastTime }: MessageFacts): Rule {
  if (sequence !== null) {
    const words = timingText(sequence.timing, sequence.zone);
    const local = instantText(message.createdAt, sequence.zone);
    return rule('DUE_BY_STEP', 'passed', `The step runs ${words}: that was ${local}.`, message.createdAt);
  }
  if (broadcastTime !== null) return broadcastTimeRule(broadcastTime);
  return rule('DUE_AT_ONCE', 'passed', 'It goes as soon as it is planned.', message.createdAt);
}

function messageClass({ message }: MessageFacts): Rule {
  return message.class === 'marketing'
    ? rule('CLASS_MARKETING', 'info', 'It is marketing: it needs consent, and any opt-out stops it.')
    : rule(
        'CLASS_TRANSACTIONAL',
        'passed',
        'It is transactional: the person waits for it, so it needs no consent to newsletters.',
      );
}

/** What kept a mail of unclear end from a second try did not end it: that is told, and does not decide. */
function wants(facts: MessageFacts): Rule[] {
  const rules = facts.message.class === 'marketing' ? audience(facts) : [suppressed(facts)];
  if (facts.message.state !== 'unknown') return rules;
  return rules.map((one) => (one.verdict === 'stopped' ? { ...one, verdict: 'info' } : one));
}

/** Why it was taken off, or not sent once more; null when no wish of the person's was asked then. */
function goneFor({ state, stateReason }: MessageFacts['message']): string | null {
  return state === 'suppressed' || state === 'unknown' ? stateReason : null;
}

function audience(facts: MessageFacts): Rule[] {
  const { message, person, optedOutSince } = facts;
  const open = OPEN.has(message.state) && message.dataAt === null;
  const gone = goneFor(message);
  return [
    gone === LEFT_BY_LINK ? leftByLinkRule(person) : consentRule(person, gone === NOT_ACTIVE, open),
    suppressed(facts),
    ...pauseRule(person, {
      open,
      stopped: gone === PAUSED_BY_READER,
      broadcast: message.kind === 'broadcast',
    }),
    ...wishRules(optedOutSince, { ...message, gone, open }),
  ];
}

function suppressed({ message, suppressions }: MessageFacts): Rule {
  return suppressionRule(suppressions, {
    marketing: message.class === 'marketing',
    stopped: goneFor(message) === ON_SUPPRESSION_LIST,
    open: OPEN.has(message.state) && message.dataAt === null,
  });
}

/** What holds back a mail that has not begun. */
function lifecycle(facts: MessageFacts): Rule[] {
  const { message, broadcast, now } = facts;
  if (!OPEN.has(message.state)) return [];
  const stop = broadcast === null ? null : broadcastStop(broadcast);
  const rules = stop === null ? [] : [stop];
  if (message.state === 'leased') return [...rules, underway(facts)];
  if (message.withdrawn !== null) return [cancelled(message.withdrawn, null, broadcast)];
  const use = useRules(facts);
  if (message.state === 'held' && message.stateReason === BROADCAST_PAUSED && stop !== null)
    return [stop, ...use];
  if (message.state === 'held') return [...rules, held(message.stateReason), ...use];
  if (message.expiresAt !== null && message.expiresAt <= now) return [...rules, ...use];
  return [...stops(facts, stop), ...waits(facts), ...use];
}

function held(reason: string | null): Rule {
  const why = reason ?? 'no reason is written down';
  if (why === BROADCAST_PAUSED)
    return rule('BROADCAST_PAUSED', 'waits', 'It waits while its broadcast is paused.');
  if (why === PAUSED_BY_READER)
    return rule('HELD_BY_READER', 'waits', 'It is held until the pause is over that the reader asked for.');
  if (why === SEQUENCE_PAUSED) return sequencePausedRule();
  if (why === WAITS_FOR_TEST)
    return rule('WAITS_FOR_TEST', 'waits', 'It waits for the result of the split test of its broadcast.');
  if (refusedFor(why) !== null) return heldRefused(why);
  if (UNFIT_REASONS.includes(why)) {
    const text = `It is held, as ${why}: mend the mail and apply its funnel, or mend what the person has, and send it on the page Sending.`;
    return rule('HELD_UNFIT', 'waits', text);
  }
  const [code, cause] = HELD[why] ?? [];
  if (code === undefined) return rule('HELD', 'waits', `It is held until the owner decides: ${why}.`);
  return rule(code, 'waits', `${cause}. It is held until the owner decides, on the page Sending.`);
}

function heldRefused(why: string): Rule {
  const until =
    refusedFor(why) === 'unexplained'
      ? 'No word says why. It is held until the owner sends it, on the page Sending, or until so many mails were refused so that others of the same domain took that no more is written there.'
      : 'It is held until the owner has mended that and sends it, on the page Sending.';
  return rule('HELD_REFUSED', 'waits', `It was ${why}, and not because of the person. ${until}`);
}

const HELD: Readonly<Record<string, readonly [code: string, cause: string]>> = {
  [OVERDUE]: ['HELD_OVERDUE', 'It is late by an outage or a missing DKIM key'],
  [RESTORED]: ['HELD_RESTORED', 'It waited in a backup that was restored, and may have gone out already'],
};

function underway({ message }: MessageFacts): Rule {
  return message.dataAt === null
    ? rule('LEASED', 'waits', 'A worker has it and is about to hand it to the relay.')
    : rule('IN_DATA', 'waits', 'It is on its way to the relay at this moment.', message.dataAt);
}

/** In the order of the claim: a pause is none to what of a restored backup may have gone out already. */
function stops({ sequencePaused, late }: MessageFacts, stop: Rule | null): Rule[] {
  const judged = late === null ? [] : [isLate(late)];
  if (late?.reason === RESTORED) return judged;
  if (stop !== null) return [stop];
  return sequencePaused ? [sequencePausedRule()] : judged;
}

function isLate({ action, reason }: NonNullable<MessageFacts['late']>): Rule {
  const of = reason === RESTORED ? 'RESTORED' : 'OVERDUE';
  const why =
    reason === RESTORED
      ? 'It was due before the owner said that a backup had been restored, and may have gone out already'
      : 'It is late by an outage or a missing DKIM key';
  return action === 'held'
    ? rule(`HELD_${of}`, 'waits', `${why}: when it comes up it is held until the owner decides.`)
    : rule(`EXPIRED_${of}`, 'stopped', `${why}: when it comes up it is skipped.`);
}

function later({ dueAt, stateReason, unknownCount }: MessageFacts['message'], attempts: number): Rule {
  if (attempts === 0 && unknownCount === 0)
    return rule('NOT_DUE_YET', 'waits', `It is due at ${instantText(dueAt)}.`, dueAt);
  const reason = stateReason === null ? '' : `: ${inWords(stateReason)}`;
  const twice =
    unknownCount === 0 ? '' : ' Whether the relay took it at an earlier try is not known: it may come twice.';
  return rule('RETRY_LATER', 'waits', `It is tried again at ${instantText(dueAt)}${reason}.${twice}`, dueAt);
}

function outsideHours({ message, sequence, broadcastTime }: MessageFacts): string {
  const zone = sequence?.zone ?? (broadcastTime === null ? undefined : zoneOfBroadcast(broadcastTime));
  const opening = instantText(message.dueAt, zone);
  return broadcastTime === null
    ? `When its turn came, the hours in which it may go were over; they open again at ${opening}.`
    : `When its turn came, it was too long behind the hour of its broadcast, and not to go at night; it goes from ${opening}.`;
}

function waits(facts: MessageFacts): Rule[] {
  const { message, attempts, now, refusal, leavings, mailbox, pacing, relays } = facts;
  const rules: Rule[] = [];
  if (message.dueAt > now && message.stateReason?.startsWith(FREQUENCY_CAP) === true) {
    const most = message.stateReason.slice(FREQUENCY_CAP.length + 2);
    const text = `The person has had as many mails as one gets, ${most}, with one that has waited longer where there is such a one; this one may go at ${instantText(message.dueAt)}.`;
    rules.push(rule('FREQUENCY_CAP', 'waits', text, message.dueAt));
  } else if (message.dueAt > now && message.stateReason === OUTSIDE_HOURS) {
    rules.push(rule('OUTSIDE_SEND_WINDOW', 'waits', outsideHours(facts), message.dueAt));
  } else if (message.stateReason?.startsWith(WAITS_FOR_KEY) === true) {
    const days = LONGEST_WAIT_DAYS[message.class];
    const text = `Its sender's mail is signed, and the key is missing or bad: ${message.stateReason}. It is tried every few minutes, goes out when the key is put right, and expires after ${days} days.`;
    rules.push(rule('WAITS_FOR_KEY', 'waits', text, message.dueAt));
  } else if (message.dueAt > now && message.stateReason === GREYLISTED) {
    const text = `The receiver greylists: it puts off the first try of every sender it does not know, and takes a later one. It is tried again at ${instantText(message.dueAt)}.`;
    rules.push(rule('GREYLISTED', 'waits', text, message.dueAt));
  } else if (message.dueAt > now && message.stateReason === LEFT_BEHIND) {
    const at = instantText(message.dueAt);
    const text = `The worker that had it ended before it had begun, more than once. In case it is the mail that ends them it comes up apart from others, at ${at}.`;
    rules.push(rule('LEFT_BEHIND', 'waits', text, message.dueAt));
  } else if (message.dueAt > now) {
    rules.push(later(message, attempts.length));
  }
  if (refusal !== null)
    rules.push(rule('SENDING_REFUSED', 'waits', `Nothing is sent from this database: ${refusal}`));
  if (leavings !== null) {
    const text = `A process that answers requests has not said that all readers who left by a link are known to the database. Mails of lists wait for that, until ${instantText(leavings)} at the latest.`;
    rules.push(rule('LEAVINGS_WAIT', 'waits', text, leavings));
  }
  if (mailbox !== null) {
    const text = `The owner has confirmed a restored backup or a copy, and the bounce mailbox is read before any mail goes: who left by mail meanwhile is in it. All mails wait for that, until ${instantText(mailbox)} at the latest.`;
    rules.push(rule('MAILBOX_FIRST', 'waits', text, mailbox));
  }
  for (const { bucket, byDay, until } of pacing) {
    const limit = byDay ? 'has used up its mails of the day' : 'lets no more mails through just now';
    const words = `The limit ${quoted(limitName(bucket))} ${limit}; the next may go at ${instantText(until)}.${byDay ? orderText(message) : ''}`;
    rules.push(rule(byDay ? 'DAILY_QUOTA' : 'PACED', 'waits', words, until));
  }
  const out = relays.filter(({ state }) => state === 'open' || state === 'half_open');
  if (out.length > 0 && out.length === relays.length) {
    const until = out.map(({ retryAt }) => retryAt).find((at) => at !== null) ?? null;
    const names = out.map(({ name, reason }) => `${name}${reason === null ? '' : ` (${reason})`}`).join(', ');
    rules.push(
      rule(
        'RELAY_OUT',
        'waits',
        `No relay takes mails at present: ${names}. It is tried again by itself.`,
        until,
      ),
    );
  }
  return rules;
}

/** Of bulk mails alone: what somebody waits for goes before all of them. */
function orderText({ class: messageClass, priority }: MessageFacts['message']): string {
  if (messageClass === 'transactional' || priority === undefined) return '';
  return ` Of what waits, priority 1 goes first and 9 last, then what was due first; this has ${priority}.`;
}
