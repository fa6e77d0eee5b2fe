import {
  BROADCAST_CANCELLED,
  BROADCAST_PAUSED,
  CANCELLED_BY_OWNER,
  PAUSED_BY_READER,
  SEQUENCE_PAUSED,
  WAITS_FOR_TEST,
} from '../delivery/message/state-reasons.js';
import type { MessageClass } from '../delivery/message/message.js';
import { replyWords } from '../delivery/replies/reply-words.js';
import { LONGEST_WAIT_DAYS } from '../delivery/waiting/longest-wait.js';
import { expiryOf, heldUntilTooLate, type Expiry } from '../delivery/message/expiry.js';
import { OVERDUE, RESTORED } from '../delivery/message/overdue.js';
import { HELD_OUT } from '../segments/held-out.js';
import { exitCause, isOwners, withheldCause } from './explain-exit.js';
import type { BroadcastFacts } from './explain-rules.js';
import { instantText, quoted, rule, type Rule } from './explanation.js';

interface Message {
  class: MessageClass;
  state: string;
  stateReason: string | null;
  expiresAt: Date | null;
  settledAt: Date | null;
  acceptedAt: Date | null;
}

/** What a mail came to; [] while it is open. */
export function end({
  message,
  attempts,
  broadcast,
}: {
  message: Message;
  attempts: readonly { stage: string }[];
  broadcast: BroadcastFacts | null;
}): Rule[] {
  const { state, settledAt, acceptedAt } = message;
  const reason = inWords(message.stateReason ?? 'no reason is written down');
  switch (state) {
    case 'accepted': {
      const proof = message.stateReason === null ? '' : ` Its end was unclear at first: ${reason}.`;
      const at = acceptedAt ? ` at ${instantText(acceptedAt)}` : '';
      return [rule('ACCEPTED', 'done', `The relay took it${at}.${proof}`, acceptedAt)];
    }
    case 'rejected':
      return attempts.at(-1)?.stage === 'render'
        ? [rule('UNSENDABLE', 'stopped', `It could not be sent as it is: ${reason}.`, settledAt)]
        : [rule('REJECTED', 'stopped', `It was refused for good: ${reason}.`, settledAt)];
    case 'unknown':
      return [unknown(message)];
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

/** What a server's refusal was about, for people; other reasons are words already. */
export function inWords(reason: string): string {
  return replyWords(reason) ?? reason;
}

/** Why a mail was held, of one that was held for too long; other reasons are words already. */
const HELD_FOR: Readonly<Record<string, string>> = {
  [OVERDUE]: 'it was late by an outage or a missing DKIM key, and waited for the owner’s decision',
  [RESTORED]: 'it was in a backup that was restored, and waited for the owner’s decision',
  [BROADCAST_PAUSED]: 'its broadcast was paused',
  [SEQUENCE_PAUSED]: 'the mails of its sequence were paused',
  [PAUSED_BY_READER]: 'the reader had asked for a pause',
  [WAITS_FOR_TEST]: 'the split test of its broadcast had no result',
};

/** A code and words for each cause: whoever adds a cause is asked for them by the type. */
const EXPIRED: Readonly<Record<Expiry, [code: string, words: (message: Message, reason: string) => string]>> =
  {
    tooLate: [
      'EXPIRED',
      ({ expiresAt }, reason) => {
        const held = heldUntilTooLate(reason);
        if (expiresAt === null) return 'Its turn came when it was of no use any more.';
        const until = `It was of use until ${instantText(expiresAt)}`;
        return held === null
          ? `${until}, and its turn came later.`
          : `${until}, and was held until that was over: ${HELD_FOR[held] ?? held}.`;
      },
    ],
    overdue: [
      'EXPIRED_OVERDUE',
      (_, reason) =>
        `It was late after an outage or for want of a DKIM key, and late mails are skipped: ${reason}.`,
    ],
    restored: [
      'EXPIRED_RESTORED',
      () =>
        'It was due before a backup of the database was restored, and may have gone out already. The owner’s word was to cancel such mails.',
    ],
    unrelayed: [
      'EXPIRED_NO_RELAY',
      (message) => `No mail relay worked for ${waited(message)}, so none took it.`,
    ],
    unsigned: [
      'EXPIRED_NO_KEY',
      (message) =>
        `Its sender's mail is signed, and the key was missing or bad for ${waited(message)}: it was tried on each day and never handed to a relay.`,
    ],
    putOff: [
      'EXPIRED_PUT_OFF',
      (message) => `It was tried on each day for ${waited(message)}, and put off at every try.`,
    ],
  };

function waited(message: Message): string {
  return `${LONGEST_WAIT_DAYS[message.class]} days`;
}

function expired(message: Message, reason: string): Rule {
  const cause = expiryOf(reason);
  if (cause !== null) {
    const [code, words] = EXPIRED[cause];
    return rule(code, 'stopped', words(message, reason), message.settledAt);
  }
  return rule(
    'RETRIES_EXHAUSTED',
    'stopped',
    `It was tried for about a day without success: ${reason}.`,
    message.settledAt,
  );
}

/** It was under way once without an answer. What it is not sent once more for stands in the reason then. */
function unknown({ stateReason, settledAt }: Message): Rule {
  const reason = stateReason ?? 'no reason is written down';
  const says = (text: string): Rule => rule('UNKNOWN', 'stopped', text, settledAt);
  if (reason === RESTORED)
    return says(
      'It was on its way, or waited to be sent once more, in the backup that was restored: the relay may have taken it or not. It is not sent again by itself.',
    );
  const withheld =
    withheldCause(reason)?.what ?? (expiryOf(reason) === null ? null : `Then ${lateWords(reason)}`);
  if (withheld !== null)
    return says(
      `The relay may have taken it or not at the first try. ${withheld}, so it was not sent once more.`,
    );
  const answered = replyWords(reason);
  return answered === null
    ? says(`The relay may have taken it or not: ${reason}. It is not sent again by itself.`)
    : says(`The relay may have taken it or not at the first try. A later one was turned down: ${answered}.`);
}

function lateWords(reason: string): string {
  const cause = expiryOf(reason);
  if (heldUntilTooLate(reason) !== null) return 'it was held for too long';
  return cause === 'unrelayed' || cause === 'unsigned' ? reason : `it was ${reason}`;
}

/** Also of a mail that comes to this as soon as it is tried again. */
export function cancelled(reason: string, at: Date | null, broadcast: BroadcastFacts | null): Rule {
  if (reason === BROADCAST_CANCELLED) {
    const name = broadcast === null ? '' : ` ${quoted(broadcast.title)}`;
    return rule('BROADCAST_CANCELLED', 'stopped', `The broadcast${name} was cancelled.`, at);
  }
  if (reason === RESTORED) {
    const text =
      'It waited in the backup that was restored, and may have gone out already. The owner’s word was to cancel such mails.';
    return rule('CANCELLED_RESTORED', 'stopped', text, at);
  }
  if (isOwners(reason)) {
    const held = reason.slice(0, -CANCELLED_BY_OWNER.length).replace(/, $/, '');
    const why = held === '' ? '' : ` (${held})`;
    return rule('CANCELLED_BY_OWNER', 'stopped', `It was held${why}, and the owner cancelled it.`, at);
  }
  const cause = exitCause(reason);
  if (cause === null) return rule('CANCELLED', 'stopped', `It was cancelled: ${reason}.`, at);
  const { code, what, ends } = cause;
  return rule(code, 'stopped', ends ? `${what}, which ends the sequence.` : `${what} before its turn.`, at);
}
