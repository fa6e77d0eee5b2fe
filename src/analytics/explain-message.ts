import {
  OUTSIDE_HOURS,
  PAUSED_BY_READER,
  SEQUENCE_PAUSED,
  WAITS_FOR_KEY,
  WAITS_FOR_TEST,
} from '../delivery/ledger/message.js';
import { FREQUENCY_CAP } from '../delivery/pacing/frequency-cap.js';
import { LONGEST_WAIT_DAYS } from '../delivery/waiting/longest-wait.js';
import { HELD_OUT } from '../segments/held-out.js';
import { refusedFor } from '../delivery/replies/sender-refusal.js';
import type { StepTiming } from '../sequences/schedule.js';
import {
  broadcastSplitRule,
  otherPathRules,
  splitRules,
  type BroadcastSplitFacts,
  type SplitFacts,
} from './explain-split.js';
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
  offerRules,
  pauseRule,
  suppressionRule,
  wishRules,
  type BroadcastFacts,
  type OfferFacts,
  type PersonFacts,
  type SuppressionFacts,
} from './explain-rules.js';

export interface AttemptFacts {
  startedAt: Date;
  stage: string;
  outcome: string;
  replyCode: number | null;
  replyText: string | null;
  relay: string | null;
}

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
  } & OfferFacts;
  person: PersonFacts | null;
  suppressions: SuppressionFacts[];
  optedOutSince: Date | null;
  /** From the outermost. */
  splits: SplitFacts[];
  broadcastSplit: BroadcastSplitFacts | null;
  sequence: { title: string; version: number; timing: StepTiming; zone: string } | null;
  broadcast: BroadcastFacts | null;
  attempts: AttemptFacts[];
  reports: { verdict: string; reason: string; at: Date }[];
  /** Why this database may not send at all at present; null when it may. */
  refusal: string | null;
  /** Buckets that let no mail of this kind through just now. */
  pacing: { bucket: string; byDay: boolean; until: Date }[];
  relays: { name: string; state: string; retryAt: Date | null; reason: string | null }[];
}

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
    timing(facts),
    messageClass(facts),
    ...(facts.message.class === 'marketing' ? audience(facts) : [suppressed(facts)]),
    ...lifecycle(facts),
    ...attemptRules(facts.attempts),
    ...end(facts),
    ...facts.reports.map(({ verdict, reason, at }) =>
      rule(`REPORT_${verdict.toUpperCase()}`, 'info', `A report came back: ${verdict}, ${reason}.`, at),
    ),
  ]);
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

function timing({ message, sequence, broadcast }: MessageFacts): Rule {
  if (sequence !== null) {
    const words = timingText(sequence.timing, sequence.zone);
    const local = instantText(message.createdAt, sequence.zone);
    return rule('DUE_BY_STEP', 'passed', `The step runs ${words}: that was ${local}.`, message.createdAt);
  }
  if (broadcast?.scheduledAt)
    return rule(
      'DUE_BY_SCHEDULE',
      'passed',
      `The broadcast was set for ${instantText(broadcast.scheduledAt)}.`,
      broadcast.scheduledAt,
    );
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

function audience(facts: MessageFacts): Rule[] {
  const { message, person, optedOutSince } = facts;
  const open = OPEN.has(message.state) && message.dataAt === null;
  const gone = message.state === 'suppressed' ? message.stateReason : null;
  return [
    consentRule(person, gone === 'subscriber is not active', open),
    suppressed(facts),
    ...pauseRule(person, {
      open,
      stopped: gone === PAUSED_BY_READER,
      broadcast: message.kind === 'broadcast',
    }),
    ...wishRules(optedOutSince, { topic: message.topic, gone, open }),
  ];
}

function suppressed({ message, suppressions }: MessageFacts): Rule {
  return suppressionRule(suppressions, {
    marketing: message.class === 'marketing',
    stopped: message.state === 'suppressed' && message.stateReason === 'suppression list',
    open: OPEN.has(message.state) && message.dataAt === null,
  });
}

/** What holds back a mail that has not begun. */
function lifecycle(facts: MessageFacts): Rule[] {
  const { message, broadcast, now } = facts;
  if (!OPEN.has(message.state)) return [];
  const stop = broadcast === null ? null : broadcastStop(broadcast);
  const rules = stop === null ? [] : [stop];
  if (message.state === 'held') return [...rules, held(message.stateReason)];
  if (message.state === 'leased') return [...rules, underway(facts)];
  if (message.expiresAt !== null && message.expiresAt <= now)
    return [
      ...rules,
      rule(
        'EXPIRED',
        'stopped',
        `It is of use until ${instantText(message.expiresAt)} only.`,
        message.expiresAt,
      ),
    ];
  return [...rules, ...waits(facts)];
}

function held(reason: string | null): Rule {
  const why = reason ?? 'no reason is written down';
  if (why.startsWith('broadcast paused'))
    return rule('BROADCAST_PAUSED', 'waits', 'It waits while its broadcast is paused.');
  if (why === PAUSED_BY_READER)
    return rule('HELD_BY_READER', 'waits', 'It is held until the pause is over that the reader asked for.');
  if (why === SEQUENCE_PAUSED) {
    const text = 'It waits: the mails of its sequence are paused until the owner lets them go on.';
    return rule('SEQUENCE_PAUSED', 'waits', text);
  }
  if (why === WAITS_FOR_TEST)
    return rule('WAITS_FOR_TEST', 'waits', 'It waits for the result of the split test of its broadcast.');
  if (refusedFor(why) !== null) {
    const text = `It was ${why}, and not because of the person. It is held until the owner has mended that and sends it, on the page Sending.`;
    return rule('HELD_REFUSED', 'waits', text);
  }
  const code = why.startsWith('overdue') ? 'HELD_OVERDUE' : 'HELD';
  return rule(code, 'waits', `It is held until the owner decides: ${why}.`);
}

function underway({ message }: MessageFacts): Rule {
  return message.dataAt === null
    ? rule('LEASED', 'waits', 'A worker has it and is about to hand it to the relay.')
    : rule('IN_DATA', 'waits', 'It is on its way to the relay at this moment.', message.dataAt);
}

function waits(facts: MessageFacts): Rule[] {
  const { message, attempts, now, refusal, pacing, relays } = facts;
  const rules: Rule[] = [];
  if (message.dueAt > now && message.stateReason?.startsWith(FREQUENCY_CAP) === true) {
    const most = message.stateReason.slice(FREQUENCY_CAP.length + 2);
    const text = `The person has had as many mails as one gets, ${most}; this one may go at ${instantText(message.dueAt)}.`;
    rules.push(rule('FREQUENCY_CAP', 'waits', text, message.dueAt));
  } else if (message.dueAt > now && message.stateReason === OUTSIDE_HOURS) {
    const opening = instantText(message.dueAt, facts.sequence?.zone);
    const text = `When its turn came, the hours in which it may go were over; they open again at ${opening}.`;
    rules.push(rule('OUTSIDE_SEND_WINDOW', 'waits', text, message.dueAt));
  } else if (message.stateReason?.startsWith(WAITS_FOR_KEY) === true) {
    const days = LONGEST_WAIT_DAYS[message.class];
    const text = `Its sender's mail is signed, and the key is missing or bad: ${message.stateReason}. It is tried every few minutes, goes out when the key is put right, and expires after ${days} days.`;
    rules.push(rule('WAITS_FOR_KEY', 'waits', text, message.dueAt));
  } else if (message.dueAt > now) {
    const again = attempts.length > 0 || message.unknownCount > 0;
    const why = again
      ? `It is tried again at ${instantText(message.dueAt)}`
      : `It is due at ${instantText(message.dueAt)}`;
    const reason = again && message.stateReason !== null ? `: ${message.stateReason}` : '';
    rules.push(rule(again ? 'RETRY_LATER' : 'NOT_DUE_YET', 'waits', `${why}${reason}.`, message.dueAt));
  }
  if (refusal !== null)
    rules.push(rule('SENDING_REFUSED', 'waits', `Nothing is sent from this database: ${refusal}`));
  for (const { bucket, byDay, until } of pacing) {
    const limit = byDay ? 'has used up its mails of the day' : 'lets no more mails through just now';
    const words = `The limit ${quoted(bucket)} ${limit}; the next may go at ${instantText(until)}.`;
    rules.push(rule(byDay ? 'DAILY_QUOTA' : 'PACED', 'waits', words, until));
  }
  const out = relays.filter(({ state }) => state !== 'closed');
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

/** What the owner did, and what came back in the middle, stand among the attempts and are none. */
function attemptRules(attempts: readonly AttemptFacts[]): Rule[] {
  let count = 0;
  return attempts.map((one) => {
    const [code, text] = NO_ATTEMPTS[one.outcome] ?? [];
    return code && text ? rule(code, 'info', text, one.startedAt) : attempt(one, count++);
  });
}

const NO_ATTEMPTS: Readonly<Record<string, readonly [string, string]>> = {
  sent_again: [
    'RESENT_BY_OWNER',
    'The owner had it sent once more, under the same Message-ID, though the first may have arrived.',
  ],
  arrived: ['ARRIVED', 'Something came back of it, which shows that it has arrived.'],
};

function attempt(
  { startedAt, stage, outcome, replyCode, replyText, relay }: AttemptFacts,
  index: number,
): Rule {
  const through = relay === null ? '' : ` through ${relay}`;
  const said = replyText?.startsWith(String(replyCode))
    ? replyText
    : [replyCode, replyText].filter(Boolean).join(' ');
  const reply = replyCode === null ? '' : ` The relay said: ${said}`;
  const [code, came] = OUTCOMES[outcome] ?? ['ATTEMPT', outcome];
  const where = outcome === 'accepted' ? '' : ` (stage: ${stage})`;
  return rule(code, 'info', `Attempt ${index + 1}${through}: ${came}${where}.${reply}`, startedAt);
}

const OUTCOMES: Readonly<Record<string, readonly [string, string]>> = {
  accepted: ['ATTEMPT_ACCEPTED', 'taken'],
  ready: ['ATTEMPT_DEFERRED', 'not taken for now'],
  rejected: ['ATTEMPT_REJECTED', 'refused for good'],
  held: ['ATTEMPT_REFUSED_SENDER', 'refused for good because of the sender'],
  unknown: ['ATTEMPT_UNKNOWN', 'the connection ended before the relay said anything'],
  expired: ['ATTEMPT_LAST', 'not taken, and it was the last try'],
  left_behind: ['ATTEMPT_LEFT_BEHIND', 'its worker ended before it said what became of the mail'],
  held_back: ['ATTEMPT_HELD_BACK', 'stopped at the last moment, before the first byte of the mail'],
};

function end({ message, attempts, broadcast }: MessageFacts): Rule[] {
  const { state, settledAt, acceptedAt } = message;
  const reason = message.stateReason ?? 'no reason is written down';
  switch (state) {
    case 'accepted':
      return [
        rule(
          'ACCEPTED',
          'done',
          `The relay took it${acceptedAt ? ` at ${instantText(acceptedAt)}` : ''}.`,
          acceptedAt,
        ),
      ];
    case 'rejected': {
      const last = attempts.at(-1);
      const code = last?.stage === 'render' ? 'UNSENDABLE' : 'REJECTED';
      return [rule(code, 'stopped', `It was refused for good: ${reason}.`, settledAt)];
    }
    case 'unknown':
      return [
        rule(
          'UNKNOWN',
          'stopped',
          `The relay may have taken it or not: ${reason}. It is not sent again by itself.`,
          settledAt,
        ),
      ];
    case 'expired':
      return [expired(message, reason)];
    case 'cancelled':
      return [cancelled(reason, settledAt, broadcast)];
    case 'suppressed':
      if (reason === HELD_OUT)
        return [rule('HELD_OUT', 'stopped', `It is never sent: the person is ${HELD_OUT}.`, settledAt)];
      return [rule('SUPPRESSED_STATE', 'stopped', `It was taken off at its turn: ${reason}.`, settledAt)];
    default:
      return [];
  }
}

function expired({ settledAt, expiresAt }: MessageFacts['message'], reason: string): Rule {
  if (reason.startsWith('too late') && expiresAt !== null)
    return rule(
      'EXPIRED',
      'stopped',
      `It was of use until ${instantText(expiresAt)}, and its turn came later.`,
      settledAt,
    );
  if (reason.startsWith('overdue'))
    return rule(
      'EXPIRED_OVERDUE',
      'stopped',
      `It was late after an outage, and late mails are skipped: ${reason}.`,
      settledAt,
    );
  return rule(
    'RETRIES_EXHAUSTED',
    'stopped',
    `It was tried for about a day without success: ${reason}.`,
    settledAt,
  );
}

function cancelled(reason: string, at: Date | null, broadcast: BroadcastFacts | null): Rule {
  const bought = /^purchased (.+)$/.exec(reason)?.[1];
  if (bought !== undefined)
    return rule(
      'EXITED_BY_PURCHASE',
      'stopped',
      `The person bought ${quoted(bought)}, which ends the sequence.`,
      at,
    );
  if (reason === 'unsubscribed')
    return rule('EXITED_BY_UNSUBSCRIBING', 'stopped', 'The person unsubscribed before its turn.', at);
  if (reason === 'topic opt-out')
    return rule('EXITED_BY_TOPIC', 'stopped', 'The person opted out of this topic before its turn.', at);
  if (reason === 'erased')
    return rule('PERSON_ERASED', 'stopped', 'The person was erased before its turn.', at);
  if (reason.startsWith('broadcast cancelled')) {
    const name = broadcast === null ? '' : ` ${quoted(broadcast.title)}`;
    return rule('BROADCAST_CANCELLED', 'stopped', `The broadcast${name} was cancelled.`, at);
  }
  return rule('CANCELLED', 'stopped', `It was cancelled: ${reason}.`, at);
}
