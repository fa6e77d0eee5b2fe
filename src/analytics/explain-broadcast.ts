import { explanation, instantText, quoted, rule, type Explanation, type Rule } from './explanation.js';
import {
  broadcastStop,
  consentRule,
  suppressionRule,
  topicRule,
  type BroadcastFacts,
  type PersonFacts,
  type SuppressionFacts,
} from './explain-rules.js';

export interface BroadcastAbsence {
  broadcast: BroadcastFacts & { topic: string | null; endedAt: Date | null };
  person: PersonFacts;
  suppressions: SuppressionFacts[];
  optedOutSince: Date | null;
  /** The planner has come past the person's place in the list. */
  passed: boolean;
  /** The person was not there yet when the audience was fixed. */
  joinedLater: boolean;
  /** Another entry of the list with the same mailbox got the mail. */
  sameMailbox: boolean;
  /** Conditions of the audience that the person did not meet when it was frozen, as far as that is kept, in words. */
  leftOut: string[];
}

/** Why there is no mail of this broadcast for this person. Pure. */
export function explainBroadcast(facts: BroadcastAbsence): Explanation {
  const { broadcast, person, suppressions, optedOutSince } = facts;
  const asked = { stopped: false, open: true };
  return explanation([
    ...notBegun(broadcast),
    consentRule(person, false, true),
    suppressionRule(suppressions, { ...asked, marketing: true }),
    ...(broadcast.topic === null ? [] : [topicRule(optedOutSince, { ...asked, topic: broadcast.topic })]),
    ...planning(facts),
  ]);
}

function notBegun(broadcast: BroadcastFacts): Rule[] {
  const { title, state, scheduledAt } = broadcast;
  const stop = broadcastStop(broadcast);
  if (stop !== null) return [stop];
  if (state === 'draft')
    return [
      rule('BROADCAST_DRAFT', 'waits', `The broadcast ${quoted(title)} is a draft; nobody has got it.`),
    ];
  if (state === 'scheduled') {
    const when = scheduledAt === null ? 'is about to start' : `starts at ${instantText(scheduledAt)}`;
    return [rule('BROADCAST_SCHEDULED', 'waits', `The broadcast ${quoted(title)} ${when}.`, scheduledAt)];
  }
  return [];
}

function planning({ broadcast, passed, joinedLater, sameMailbox, leftOut }: BroadcastAbsence): Rule[] {
  const { title, state, startedAt } = broadcast;
  if (state === 'draft' || state === 'scheduled') return [];
  if (joinedLater)
    return [
      rule(
        'JOINED_LATER',
        'stopped',
        `The person came to the list after the audience of ${quoted(title)} was fixed${startedAt === null ? '' : `, on ${instantText(startedAt)}`}.`,
        startedAt,
      ),
    ];
  if (sameMailbox)
    return [
      rule(
        'SAME_MAILBOX',
        'stopped',
        'Another entry of the list has the same mailbox and got the mail: one mailbox, one mail.',
      ),
    ];
  if (!passed)
    return [
      rule(
        'NOT_PLANNED_YET',
        'waits',
        `The mails of ${quoted(title)} are being planned, and the person’s turn has not come.`,
      ),
    ];
  return [
    rule(
      'NOT_IN_AUDIENCE',
      'stopped',
      `The audience of ${quoted(title)} was frozen${startedAt === null ? '' : ` on ${instantText(startedAt)}`}, and the person was not in it. ${leftOutText(leftOut)}`,
      startedAt,
    ),
  ];
}

/** Tags and funnels are judged by when they were given; what was taken off since, and old values of fields, are not kept. */
function leftOutText(leftOut: readonly string[]): string {
  if (leftOut.length === 0)
    return 'As far as is kept they met its conditions; their status, a tag or a field has changed since.';
  return `It went to whoever ${leftOut.join(' and ')}, which, as far as is kept, was not so of them then.`;
}
