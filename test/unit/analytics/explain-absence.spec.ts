import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { explainBroadcast, type BroadcastAbsence } from '../../../src/analytics/explain-broadcast.js';
import { explainStep, type EnrollmentFacts, type StepFacts } from '../../../src/analytics/explain-step.js';
import type { BranchNode, EmailNode, SequenceNode } from '../../../src/sequences/steps/definition.js';

const NOW = new Date('2026-01-07T12:00:00Z');
const EARLIER = new Date('2026-01-07T09:00:00Z');
const LATER = new Date('2026-01-07T15:00:00Z');

const email = (
  key: string,
  next: string | null,
  delay: EmailNode['delay'] = { value: 1, unit: 'days' },
): EmailNode => ({
  kind: 'email',
  key,
  next,
  delay,
  templateKey: `emails/${key}`,
  templateId: '1',
  at: null,
  offer: null,
  deadline: null,
});
const branch = (
  key: string,
  clicked: string,
  ways: { then: string | null; else: string | null },
): BranchNode => ({
  kind: 'branch',
  key,
  clicked,
  within: { value: 3, unit: 'days' },
  ...ways,
});
const NODES: SequenceNode[] = [
  email('welcome', 'story', null),
  email('story', 'pick'),
  branch('pick', 'story', { then: 'deep-dive', else: 'nudge' }),
  email('deep-dive', 'offer'),
  email('nudge', 'offer'),
  email('offer', null),
];
const ran = (stepKey: string, outcome = 'planned') => ({ stepKey, outcome, at: EARLIER });
const ENROLLMENT: EnrollmentFacts = {
  ...{ splits: [], toldLate: [] },
  status: 'active',
  exitReason: null,
  stepKey: 'story',
  nextAt: LATER,
  plannedFor: null,
  startedAt: EARLIER,
  endedAt: null,
  version: 1,
  joinedVersion: 1,
  definition: { window: null, exitOn: [], first: 'welcome', nodes: NODES },
  outcomes: [ran('welcome')],
};
const ACTIVE = { status: 'active', consent: null, zone: 'Europe/Berlin' };
const facts = (
  stepKey: string,
  enrollment: Partial<EnrollmentFacts> | null,
  rest: Partial<StepFacts> = {},
): StepFacts => ({
  now: NOW,
  stepKey,
  sequence: { title: 'Niches', version: 2 },
  person: ACTIVE,
  suppressions: [],
  sequencePaused: false,
  signup: { status: 'confirmed', at: EARLIER },
  enrollment: enrollment === null ? null : { ...ENROLLMENT, ...enrollment },
  earlierMail: null,
  ...rest,
});
const clicked = { outcomes: [ran('welcome'), ran('story'), ran('pick', 'then')], stepKey: 'deep-dive' };
const out = (exitReason: string) =>
  ({ status: 'exited', exitReason, nextAt: null, endedAt: EARLIER }) as const;

const BLOCKED = [{ scope: 'all', reason: 'manual', source: 'api', since: EARLIER } as const];

const STEPS: [decidedBy: string, words: RegExp, facts: StepFacts][] = [
  ['NOT_ENROLLED', /never joined “Niches”/, facts('offer', null, { signup: null })],
  [
    'NOT_ENROLLED',
    /has unsubscribed/,
    facts('offer', null, { person: { ...ACTIVE, status: 'unsubscribed' } }),
  ],
  [
    'NOT_CONFIRMED',
    /has not confirmed/,
    facts('offer', null, { signup: { status: 'pending', at: EARLIER } }),
  ],
  ['STEP_NOT_IN_VERSION', /Version 1.*no step “brand-new”.*one is 2/, facts('brand-new', {})],
  [
    'STEP_NOT_DUE',
    /runs 1 day after the step before: at Wed 7 Jan 2026, 16:00 Europe\/Berlin/,
    facts('story', {}),
  ],
  [
    'OUTSIDE_SEND_WINDOW',
    /“story” was due at .*outside the hours.*open again at Wed 7 Jan/,
    facts('story', { plannedFor: EARLIER }),
  ],
  ['STEP_DUE', /due since/, facts('story', { nextAt: EARLIER })],
  ['SUPPRESSED', /every mail since .*by way of “api”/, facts('story', {}, { suppressions: BLOCKED })],
  ['SEQUENCE_PAUSED', /paused until the owner/, facts('offer', {}, { sequencePaused: true })],
  ['NOT_REACHED', /comes before it/, facts('pick', {}, { suppressions: BLOCKED, sequencePaused: true })],
  ['NOT_REACHED', /is at “story”, which comes before it/, facts('offer', {})],
  ['NOT_REACHED', /not come to “offer” yet/, facts('offer', { nextAt: null })],
  ['STEP_DUE', /is due since .*stay where they are/, facts('story', { nextAt: null, plannedFor: EARLIER })],
  ['NOT_REACHED', /at “story”, which is due since/, facts('offer', { nextAt: null, plannedFor: EARLIER })],
  [
    'WAITS_FOR_CLICK',
    /waits for a click on “story”, at most until/,
    facts('nudge', { stepKey: 'pick', outcomes: [ran('welcome'), ran('story')] }),
  ],
  ['BRANCH_WENT_OTHER_WAY', /“story” was clicked.*“nudge” lies on the other way/, facts('nudge', clicked)],
  [
    'BRANCH_WENT_OTHER_WAY',
    /was not clicked in time/,
    facts('deep-dive', { stepKey: 'nudge', outcomes: [ran('welcome'), ran('story'), ran('pick', 'else')] }),
  ],
  [
    'BRANCH_WENT_OTHER_WAY',
    /other way/,
    facts('nudge', { ...clicked, status: 'completed', stepKey: null, nextAt: null, endedAt: NOW }),
  ],
  ['BRANCH_WENT_OTHER_WAY', /other way/, facts('nudge', { ...clicked, ...out('purchased launch-kit') })],
  ['STEP_NOT_DUE', /is next/, facts('deep-dive', clicked)],
  ['EXITED_BY_PURCHASE', /bought “launch-kit”/, facts('offer', { ...out('purchased launch-kit') })],
  ['EXITED_BY_UNSUBSCRIBING', /unsubscribed on/, facts('offer', { ...out('unsubscribed') })],
  ['EXITED_BY_TOPIC', /opted out/, facts('offer', { ...out('topic opt-out') })],
  [
    'SUBSCRIBER_NOT_ACTIVE',
    /complained about a mail on .*, before this step/,
    facts('offer', { ...out('subscriber is complained'), stepKey: null }),
  ],
  [
    'SUBSCRIBER_NOT_ACTIVE',
    /ends at its next step/,
    facts('offer', {}, { person: { ...ACTIVE, status: 'unsubscribed' } }),
  ],
  ['EXITED', /by hand/, facts('offer', { ...out('by hand') })],
  ['EXITED', /no reason/, facts('offer', { status: 'exited', stepKey: null, nextAt: null })],
  ['COMPLETED', /without this step/, facts('offer', { status: 'completed', stepKey: null, nextAt: null })],
  ['STEP_PASSED', /past the place/, facts('welcome', { outcomes: [] })],
  ['MAIL_GONE', /no longer kept/, facts('welcome', {})],
  [
    'STEP_EXPIRED',
    /passed over.*expired on 2026-01-06/,
    facts('welcome', { outcomes: [ran('welcome', 'expired 2026-01-06')] }),
  ],
  [
    'STEP_HAS_NO_DATE',
    /passed over.*field “trialEnd” held no date/,
    facts('welcome', { outcomes: [ran('welcome', 'no date in trialEnd')] }),
  ],
  [
    'STEP_HAS_NO_DATE',
    /passed over.*membership “club” had no end/,
    facts('welcome', { outcomes: [ran('welcome', 'no date for the end of the membership club')] }),
  ],
  [
    'ALREADY_OWNED',
    /passed over.*already owns “launch-kit”/,
    facts('offer', { outcomes: [ran('offer', 'already owns launch-kit')] }),
  ],
  ['STEP_RAN', /sends no mail/, facts('welcome', { outcomes: [ran('welcome', 'ran')] })],
  ['STEP_DECIDED', /decided.*then/, facts('pick', { outcomes: [ran('pick', 'then')] })],
  ['MOVED_ON', /moved on to “clients”/, facts('offer', { ...out('moved to clients') })],
  ['EXITED_BY_TAG', /tag “vip”/, facts('offer', { ...out('tagged vip') })],
  ['EXITED_BY_EVENT', /event “demo-booked”/, facts('offer', { ...out('event demo-booked') })],
];

describe('why there is no mail of a step', () => {
  it.each(STEPS)('%s %s', (decidedBy, words, given) => {
    const answer = explainStep(given);
    expect([answer.decidedBy, answer.answer]).toEqual([decidedBy, expect.stringMatching(words)]);
  });

  it('tells the branch that led here before what it waits for', () => {
    expect(explainStep(facts('deep-dive', clicked)).chain.map(({ code }) => code)).toEqual([
      'ENROLLED',
      'BRANCH_TAKEN',
      'STEP_NOT_DUE',
    ]);
  });

  it('leaves no enrolment without an answer, wherever it stands', () => {
    const keys = [...NODES.map(({ key }) => key), 'foreign'];
    const key = fc.constantFrom(...keys);
    const enrollment = fc.record({
      status: fc.constantFrom('active', 'completed', 'exited'),
      exitReason: fc.constantFrom(
        null,
        'unsubscribed',
        'purchased x',
        'topic opt-out',
        'subscriber is bounced',
        '?',
      ),
      stepKey: fc.option(key),
      nextAt: fc.option(fc.constantFrom(EARLIER, LATER)),
      endedAt: fc.option(fc.constant(EARLIER)),
      outcomes: fc.array(
        fc.record({
          stepKey: key,
          outcome: fc.constantFrom('planned', 'then', 'else', 'ran', 'expired 2026-01-06'),
          at: fc.constant(EARLIER),
        }),
      ),
    });
    const status = fc.constantFrom('active', 'pending', 'unsubscribed', 'bounced', 'complained');
    fc.assert(
      fc.property(key, enrollment, status, (step, given, personStatus) => {
        const change = given as Partial<EnrollmentFacts>;
        const answer = explainStep(facts(step, change, { person: { ...ACTIVE, status: personStatus } }));
        expect(answer.decidedBy).not.toBe('NEXT_RUN');
        expect(answer.answer.length).toBeGreaterThan(10);
        expect(answer.answer).not.toMatch(/undefined|null|NaN|Invalid/);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('why there is no mail of a broadcast', () => {
  const BASE: BroadcastAbsence = {
    broadcast: {
      title: 'News',
      state: 'done',
      stateReason: null,
      scheduledAt: null,
      startedAt: EARLIER,
      plannedAt: EARLIER,
      topic: 'news',
      endedAt: NOW,
    },
    person: ACTIVE,
    suppressions: [],
    optedOutSince: null,
    passed: true,
    joinedLater: false,
    sameMailbox: false,
    leftOut: [],
  };
  const cast = (state: string, rest: object = {}) => ({ broadcast: { ...BASE.broadcast, state, ...rest } });

  it.each<[string, RegExp, Partial<BroadcastAbsence>]>([
    ['BROADCAST_DRAFT', /a draft/, cast('draft')],
    ['BROADCAST_SCHEDULED', /starts at Wed 7 Jan 2026, 15:00/, cast('scheduled', { scheduledAt: LATER })],
    ['BROADCAST_SCHEDULED', /about to start/, cast('scheduled')],
    ['BROADCAST_CANCELLED', /cancelled \(wrong price\)/, cast('cancelled', { stateReason: 'wrong price' })],
    ['BROADCAST_PAUSED', /paused/, { ...cast('paused'), passed: false }],
    ['SUBSCRIBER_NOT_ACTIVE', /unsubscribed/, { person: { ...ACTIVE, status: 'unsubscribed' } }],
    [
      'SUPPRESSED',
      /suppression list/,
      { suppressions: [{ scope: 'all', reason: 'manual', source: 'api', since: EARLIER }] },
    ],
    ['TOPIC_OPTED_OUT', /“news”/, { optedOutSince: EARLIER }],
    ['JOINED_LATER', /after the audience/, { joinedLater: true }],
    ['SAME_MAILBOX', /one mailbox, one mail/, { sameMailbox: true }],
    ['NOT_PLANNED_YET', /turn has not come/, { ...cast('planning'), passed: false }],
    ['NOT_IN_AUDIENCE', /was frozen.*not in it.*a tag or a field has changed since/, {}],
    [
      'NOT_IN_AUDIENCE',
      /whoever is on the list, which, as far as is kept, was not so of them then/,
      { leftOut: ['is on the list'] },
    ],
  ])('%s %s', (decidedBy, words, change) => {
    const answer = explainBroadcast({ ...BASE, ...change });
    expect([answer.decidedBy, answer.answer]).toEqual([decidedBy, expect.stringMatching(words)]);
  });
});
