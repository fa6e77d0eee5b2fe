import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { explainMessage } from '../../../src/analytics/explain-message.js';
import * as stateReasons from '../../../src/delivery/message/state-reasons.js';
import { replyWords } from '../../../src/delivery/replies/reply-words.js';
import { VERDICT_OF } from '../../../src/delivery/replies/reply-reason.js';
import { SENDER_REFUSALS } from '../../../src/delivery/replies/sender-refusal.js';
import { EXPIRY } from '../../../src/delivery/message/expiry.js';
import { OVERDUE, RESTORED } from '../../../src/delivery/message/overdue.js';
import { HELD_OUT } from '../../../src/segments/held-out.js';
import type { Trigger } from '../../../src/sequences/steps/condition.js';
import { EXIT, type ExitReason } from '../../../src/sequences/steps/exit-reasons.js';
import { triggerText } from '../../../src/sequences/events/reactions.js';
import { EARLIER, factsWith, LATER, NOW } from './message-facts.js';

const named = { ...stateReasons };

type State = 'ready' | 'held' | 'suppressed' | 'cancelled' | 'rejected' | 'unknown' | 'accepted';
type Told = readonly [reason: string, code: string, words: RegExp];

function told(state: State, stateReason: string): { code: string; words: string } {
  const isOpen = state === 'ready' || state === 'held';
  const message = { state, stateReason, dueAt: LATER, settledAt: isOpen ? null : NOW };
  const { decidedBy: code, answer: words } = explainMessage(factsWith({ message }));
  return { code, words };
}

/** By the name of each reason that other code goes by: who adds one says here how it is told. */
const NAMED: Readonly<
  Record<Exclude<keyof typeof named, 'NOT_FOR_OWNER' | 'UNFIT_REASONS'>, readonly [State, string, RegExp]>
> = {
  PAUSED_BY_READER: ['held', 'HELD_BY_READER', /pause is over that the reader asked for/],
  LEFT_LIST: ['suppressed', 'LEFT_LIST', /had left the list/],
  ON_SUPPRESSION_LIST: ['suppressed', 'SUPPRESSED', /was on the suppression list/],
  OPTED_OUT: ['suppressed', 'TOPIC_OPTED_OUT', /did not want mails about/],
  NOT_ACTIVE: ['suppressed', 'SUBSCRIBER_NOT_ACTIVE', /was not on the list/],
  LEFT_BY_LINK: [
    'suppressed',
    'LEFT_BY_LINK',
    /had left by the link of a mail.* Today the person is on the list/,
  ],
  WAITS_FOR_KEY: ['ready', 'WAITS_FOR_KEY', /key is missing or bad/],
  LEFT_BEHIND: ['ready', 'LEFT_BEHIND', /worker that had it ended before it had begun/],
  WAITS_FOR_TEST: ['held', 'WAITS_FOR_TEST', /result of the split test/],
  OUTSIDE_HOURS: ['ready', 'OUTSIDE_SEND_WINDOW', /hours in which it may go were over/],
  BROADCAST_PAUSED: ['held', 'BROADCAST_PAUSED', /while its broadcast is paused/],
  BROADCAST_CANCELLED: ['cancelled', 'BROADCAST_CANCELLED', /broadcast was cancelled/],
  CONFIRMED_ALREADY: ['cancelled', 'CONFIRMED_ALREADY', /confirmed the address by another mail/],
  READDRESSED: ['cancelled', 'READDRESSED', /got another address, and was asked there/],
  LATER_STEP_WENT: ['cancelled', 'LATER_STEP_WENT', /later mail of the sequence had gone.* before its turn/],
  CANCELLED_BY_OWNER: ['cancelled', 'CANCELLED_BY_OWNER', /It was held, and the owner cancelled it/],
  ENDED_IN_BODY: ['unknown', 'UNKNOWN', /taken it or not: the worker ended while/],
  SENT_AGAIN: ['ready', 'NOT_DUE_YET', /due at/],
  WAY_OUT_HIDDEN: ['held', 'HELD_UNFIT', /could not see the link to unsubscribe: mend/],
  ADDRESS_HIDDEN: ['held', 'HELD_UNFIT', /could not see the postal address: mend/],
  FREQUENCY_CAP: ['ready', 'FREQUENCY_CAP', /as many mails as one gets/],
  SEQUENCE_PAUSED: ['held', 'SEQUENCE_PAUSED', /mails of its sequence are paused/],
};

const EXITS: Readonly<Record<ExitReason, Told>> = {
  unsubscribed: [EXIT.unsubscribed(), 'EXITED_BY_UNSUBSCRIBING', /unsubscribed before its turn/],
  topic: [EXIT.topic(), 'EXITED_BY_TOPIC', /opted out of this topic before its turn/],
  removed: [EXIT.removed(), 'REMOVED_BY_HAND', /owner took the person out of the sequence before its turn/],
  notActive: [
    EXIT.notActive('complained'),
    'SUBSCRIBER_NOT_ACTIVE',
    /complained about a mail before its turn/,
  ],
  archived: [EXIT.archived(), 'FUNNEL_ARCHIVED', /owner archived the funnel before its turn/],
  moved: [EXIT.moved('clients'), 'MOVED_ON', /moved on to “clients” before its turn/],
  goal: [EXIT.goal('talk'), 'GOAL_REACHED', /reached the goal “talk” before its turn/],
  owns: [EXIT.owns('kit'), 'OWNS_PRODUCT', /came to own “kit” before its turn/],
  stepOut: [EXIT.stepOut(), 'STEP_TAKEN_OUT', /took its step out of the sequence before its turn/],
};

const TRIGGERS: Readonly<Record<Trigger['kind'], readonly [Trigger, string, RegExp]>> = {
  purchased: [{ kind: 'purchased', product: 'kit' }, 'EXITED_BY_PURCHASE', /bought “kit”/],
  refunded: [{ kind: 'refunded', product: 'kit' }, 'EXITED_BY_REFUND', /money back for “kit”/],
  tag: [{ kind: 'tag', tag: 'vip' }, 'EXITED_BY_TAG', /got the tag “vip”/],
  untagged: [{ kind: 'untagged', tag: 'vip' }, 'EXITED_BY_TAG', /lost the tag “vip”/],
  list: [{ kind: 'list', list: 'news' }, 'EXITED_BY_LIST', /came on the list “news”/],
  unlisted: [{ kind: 'unlisted', list: 'news' }, 'EXITED_BY_LIST', /left the list “news”/],
  member: [
    { kind: 'member', product: 'the club', state: 'ended' },
    'EXITED_BY_MEMBERSHIP',
    /membership of “the club” became “ended”/,
  ],
  affiliate: [{ kind: 'affiliate', whose: 'ada' }, 'EXITED_BY_AFFILIATE', /by the link of “ada”/],
  event: [{ kind: 'event', event: 'demo-booked' }, 'EXITED_BY_EVENT', /event “demo-booked” came in/],
  clicked: [{ kind: 'clicked', step: 'story' }, 'EXITED_BY_MAIL', /clicked the mail “story”/],
  opened: [{ kind: 'opened', step: 'story' }, 'EXITED_BY_MAIL', /opened the mail “story”/],
  field: [
    { kind: 'field', field: 'city', op: 'is', value: 'Ulm' },
    'EXITED_BY_FIELD',
    /field “city” took the value/,
  ],
};

describe('each reason that the ledger can hold is told by its cause', () => {
  it.each(Object.entries(NAMED))('%s', (name, [state, code, words]) => {
    expect(told(state, named[name as keyof typeof NAMED])).toEqual({
      code,
      words: expect.stringMatching(words),
    });
  });

  it('of a mail that a sequence does not send any more, which was told as “cancelled”', () => {
    for (const [reason, code, words] of Object.values(EXITS))
      expect(told('cancelled', reason)).toEqual({ code, words: expect.stringMatching(words) });
    for (const [trigger, code, words] of Object.values(TRIGGERS)) {
      const answer = told('cancelled', triggerText(trigger));
      expect(answer).toEqual({ code, words: expect.stringMatching(words) });
      expect(answer.words).toMatch(/which ends the sequence\.$/);
    }
  });

  it.each<readonly [State, ...Told]>([
    ['cancelled', 'erased', 'PERSON_ERASED', /was erased before its turn/],
    ['cancelled', RESTORED, 'CANCELLED_RESTORED', /backup that was restored.*owner’s word was to cancel/],
    [
      'cancelled',
      'overdue after an outage, cancelled by the owner',
      'CANCELLED_BY_OWNER',
      /held \(overdue after an outage\)/,
    ],
    ['held', OVERDUE, 'HELD_OVERDUE', /late by an outage.*until the owner decides/],
    ['held', RESTORED, 'HELD_RESTORED', /backup that was restored.*until the owner decides/],
    [
      'ready',
      `${stateReasons.FREQUENCY_CAP}: 2 a day`,
      'FREQUENCY_CAP',
      /as many mails as one gets, 2 a day/,
    ],
    ['suppressed', HELD_OUT, 'HELD_OUT', /held out of the split test/],
    ['suppressed', named.PAUSED_BY_READER, 'PAUSED_BY_READER', /asked for a pause/],
    ['accepted', 'it was opened', 'ACCEPTED', /unclear at first: it was opened/],
    ['unknown', RESTORED, 'UNKNOWN', /in the backup that was restored/],
    ['unknown', 'the connection ended', 'UNKNOWN', /taken it or not: the connection ended/],
  ])('%s: %s', (state, reason, code, words) => {
    expect(told(state, reason)).toEqual({ code, words: expect.stringMatching(words) });
  });

  it('of a mail that a broadcast keeps from going at night, by the clock of its reader', () => {
    const local = { atLocal: '2026-01-07T12:00', fallbackZone: 'UTC', ifPassed: 'nextDay' as const };
    const broadcastTime = {
      ...{ scheduledAt: EARLIER, timing: { local, spreadMinutes: 0 }, arm: null },
      ...{ timeZone: 'Europe/Berlin', dueAt: LATER, isAsPlanned: false },
    };
    const message = { kind: 'broadcast', stateReason: named.OUTSIDE_HOURS, dueAt: LATER };
    const { answer } = explainMessage(factsWith({ message, sequence: null, broadcastTime }));
    expect(answer).toBe(
      'When its turn came, it was too long behind the hour of its broadcast, and not to go at night; it goes from Wed 7 Jan 2026, 16:00 Europe/Berlin.',
    );
  });

  it('of one whose first try was unclear and which is not sent once more: that was told as what the relay had done', () => {
    const causes = [
      ...[
        named.BROADCAST_CANCELLED,
        named.LEFT_LIST,
        named.ON_SUPPRESSION_LIST,
        named.OPTED_OUT,
        named.NOT_ACTIVE,
        named.LEFT_BY_LINK,
      ],
      ...[named.PAUSED_BY_READER, named.CANCELLED_BY_OWNER, named.CONFIRMED_ALREADY, 'erased', OVERDUE],
      ...Object.values(EXITS).map(([reason]) => reason),
      ...Object.values(TRIGGERS).map(([trigger]) => triggerText(trigger)),
      `${OVERDUE}, ${EXPIRY.tooLate()}`,
      ...[EXPIRY.tooLate(), EXPIRY.unrelayed(5), EXPIRY.unsigned(5), EXPIRY.putOff(5)],
    ];
    for (const reason of causes)
      expect(told('unknown', reason)).toEqual({
        code: 'UNKNOWN',
        words: expect.stringMatching(
          /^The relay may have taken it or not at the first try\. .*, so it was not sent once more\.$/,
        ),
      });
  });

  it('of what a server said, in words and not by its name', () => {
    for (const reason of Object.keys(VERDICT_OF)) {
      const words = replyWords(reason) ?? 'none';
      expect(told('rejected', reason)).toEqual({
        code: 'REJECTED',
        words: `It was refused for good: ${words}.`,
      });
      expect(told('unknown', reason).words).toContain(`A later one was turned down: ${words}.`);
    }
    for (const reason of SENDER_REFUSALS) expect(told('held', reason).code).toBe('HELD_REFUSED');
  });
});

describe('no reason is written that is not told', () => {
  const sources = readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter(
      (name) =>
        name.endsWith('.ts') && !name.includes('migrations') && !name.startsWith('funnels/simulation'),
    )
    .map((name) => ({ name, text: readFileSync(join('src', name), 'utf8') }));
  const matches = (pattern: RegExp): string[] =>
    sources
      .flatMap(({ name, text }) => [...text.matchAll(pattern)].map(([all]) => `${name}: ${all}`))
      .toSorted();

  it('in a statement, without a name', () => {
    expect(matches(/state_reason = '(?!\$\{)[^']+'|state_reason: `?'[^$'\n]+'/g)).toEqual([
      "delivery/ledger/message-evidence.queries.ts: state_reason = 'proved by '",
      "delivery/ledger/messages.queries.ts: state_reason: `'erased'",
    ]);
  });

  it('by what takes mails out of the plan, or people out of a sequence', () => {
    expect(
      matches(
        /this\.(?:messages|reactions)\.(?:cancelPlanned|cancelForEnrollments|leave|exit)\([^;]*['`][^;]*;/g,
      ),
    ).toEqual([]);
  });
});
