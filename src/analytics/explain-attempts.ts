import { rule, type Rule } from './explanation.js';

export interface AttemptFacts {
  startedAt: Date;
  stage: string;
  outcome: string;
  replyCode: number | null;
  replyText: string | null;
  relay: string | null;
}

/** What the owner did, and what came back in the middle, stand among the attempts and are none. */
export function attemptRules(attempts: readonly AttemptFacts[]): Rule[] {
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
  arrived: [
    'ARRIVED',
    'Something came of it, as a report, an answer or the use of a link: the relay had taken it.',
  ],
};

function attempt(
  { startedAt, stage, outcome, replyCode, replyText, relay }: AttemptFacts,
  index: number,
): Rule {
  // One that somebody waits for is ready again then, to be sent once more: the relay may have taken the first all the same.
  const isUnclear = outcome === 'ready' && stage === 'body' && replyCode === null;
  const through = relay === null ? '' : ` through ${relay}`;
  const said = replyText?.startsWith(String(replyCode))
    ? replyText
    : [replyCode, replyText].filter(Boolean).join(' ');
  const reply = replyCode === null ? '' : ` The relay said: ${said}`;
  const [code, came] = OUTCOMES[isUnclear ? 'unknown' : outcome] ?? ['ATTEMPT', outcome];
  const where = outcome === 'accepted' ? '' : ` (stage: ${stage})`;
  return rule(code, 'info', `Attempt ${index + 1}${through}: ${came}${where}.${reply}`, startedAt);
}

const OUTCOMES: Readonly<Record<string, readonly [string, string]>> = {
  accepted: ['ATTEMPT_ACCEPTED', 'taken'],
  ready: ['ATTEMPT_DEFERRED', 'not taken for now'],
  rejected: ['ATTEMPT_REJECTED', 'refused for good'],
  held: ['ATTEMPT_REFUSED_SENDER', 'refused for good because of the sender'],
  unknown: ['ATTEMPT_UNKNOWN', 'the relay did not say whether it took the mail'],
  expired: ['ATTEMPT_LAST', 'not taken, and it was the last try'],
  left_behind: ['ATTEMPT_LEFT_BEHIND', 'its worker ended before it said what became of the mail'],
  held_back: ['ATTEMPT_HELD_BACK', 'stopped at the last moment, before the first byte of the mail'],
};
