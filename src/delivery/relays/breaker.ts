import type { RelayTrouble } from '../replies/settlement.js';

export type BreakerState = 'closed' | 'open' | 'half_open';

/** How many troubles in a row open the breaker, and the first pause. */
const RULES: Readonly<
  Record<RelayTrouble, { opensAfter: number; firstPauseSeconds: number; longestPauseSeconds?: number }>
> = {
  // One lane too many for the relay is no outage: the lanes that work reset the count.
  connect: { opensAfter: 3, firstPauseSeconds: 5 },
  // A mail may be to blame for one; each further one may be a bulk mail whose end nobody will ever know.
  silent: { opensAfter: 5, firstPauseSeconds: 15 },
  // Each further one takes up a lane for up to ten minutes. A relay that is slow with one mail takes others meanwhile.
  stalled: { opensAfter: 5, firstPauseSeconds: 30 },
  // A login that is tried again and again gets the account locked.
  auth: { opensAfter: 1, firstPauseSeconds: 60 },
  sender_refused: { opensAfter: 3, firstPauseSeconds: 30 },
  throttled: { opensAfter: 10, firstPauseSeconds: 15 },
  // Counted by `PutOffs`. It may be the words of a broadcast: a receipt that comes up is not to wait for long.
  putting_off: { opensAfter: 1, firstPauseSeconds: 15, longestPauseSeconds: 120 },
};
export const LONGEST_PAUSE_SECONDS = 15 * 60;

export interface Breaker {
  state: BreakerState;
  /** Troubles in a row without a mail that was taken. */
  failures: number;
  /** How long the relay was left alone last; of no meaning while it is closed. */
  pauseSeconds: number;
}

/**
 * The breaker after one more trouble; null when it is open already, which lanes under way are late to learn. It opens with
 * the first pause of the trouble's kind. Each failed try after that doubles the pause it follows, to no less than the first
 * of its own kind: a port that is closed while a relay which has throttled us restarts is one more failed try, not ten.
 */
export function afterTrouble({ state, failures, pauseSeconds }: Breaker, kind: RelayTrouble): Breaker | null {
  if (state === 'open') return null;
  const { opensAfter, firstPauseSeconds, longestPauseSeconds = LONGEST_PAUSE_SECONDS } = RULES[kind];
  const counted = failures + 1;
  if (state === 'closed' && counted < opensAfter) return { state, failures: counted, pauseSeconds: 0 };
  const doubled = state === 'closed' ? 0 : 2 * pauseSeconds;
  return {
    state: 'open',
    failures: counted,
    pauseSeconds: Math.max(firstPauseSeconds, Math.min(doubled, Math.max(longestPauseSeconds, pauseSeconds))),
  };
}

export const WAIT = 'Mails wait and lose no attempt; it is tried again by itself.';
const TROUBLE_WORDS: Readonly<Record<RelayTrouble, readonly [trouble: string, consequence: string]>> = {
  connect: ['cannot be reached', WAIT],
  silent: [
    'ends the connection or falls silent in the middle of mails',
    'Those whose body was under way may have been taken: bulk mails among them are not sent again. The others wait; it is tried again by itself.',
  ],
  stalled: [
    'takes mails and does not answer for half a minute',
    'Those are waited for up to ten minutes each. The others wait or go by another relay; it is tried again by itself.',
  ],
  auth: ['refuses the login', WAIT],
  sender_refused: ['refuses the sender', WAIT],
  throttled: ['keeps asking to come back later', WAIT],
  putting_off: ['puts off one mail after the other', WAIT],
};

/** What the owner is told, and what becomes of the mails. */
export function troubleWords(relay: string, kind: RelayTrouble): string {
  const [trouble, consequence] = TROUBLE_WORDS[kind];
  return `The mail relay ${relay} ${trouble}. ${consequence}`;
}

const MAX_REASON_CHARS = 200;

/** A reply as it may be kept and shown: relays like to quote addresses, and links with tokens in them. */
export function shownReply(reply: string): string {
  return reply
    .replace(/\bhttps?:\/\/\S+/gi, '(link)')
    .replace(/[^\s<>"'(),:;]{1,128}@[^\s<>"'(),:;]{1,255}/g, '(address)')
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim()
    .slice(0, MAX_REASON_CHARS);
}
