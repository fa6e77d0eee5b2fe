import { BROADCAST_CANCELLED } from '../delivery/ledger/state-reasons.js';
import type { MessageClass } from '../delivery/ledger/message.js';
import { replyWords } from '../delivery/replies/reply-words.js';
import { LONGEST_WAIT_DAYS } from '../delivery/waiting/longest-wait.js';
import { expiryOf, type Expiry } from '../delivery/waiting/expiry.js';
import { HELD_OUT } from '../segments/held-out.js';
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

/** What a server's refusal was about, for people; other reasons are words already. */
export function inWords(reason: string): string {
  return replyWords(reason) ?? reason;
}

/** A code and words for each cause: whoever adds a cause is asked for them by the type. */
const EXPIRED: Readonly<Record<Expiry, [code: string, words: (message: Message, reason: string) => string]>> =
  {
    tooLate: [
      'EXPIRED',
      ({ expiresAt }) =>
        expiresAt === null
          ? 'Its turn came when it was of no use any more.'
          : `It was of use until ${instantText(expiresAt)}, and its turn came later.`,
    ],
    overdue: [
      'EXPIRED_OVERDUE',
      (_, reason) => `It was late after an outage, and late mails are skipped: ${reason}.`,
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

/** Also of a mail that comes to this as soon as it is tried again. */
export function cancelled(reason: string, at: Date | null, broadcast: BroadcastFacts | null): Rule {
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
  if (reason === BROADCAST_CANCELLED) {
    const name = broadcast === null ? '' : ` ${quoted(broadcast.title)}`;
    return rule('BROADCAST_CANCELLED', 'stopped', `The broadcast${name} was cancelled.`, at);
  }
  return rule('CANCELLED', 'stopped', `It was cancelled: ${reason}.`, at);
}
