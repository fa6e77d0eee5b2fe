import { broadcastTimeRule, type BroadcastTimeFacts } from '../../../src/analytics/explain-broadcast-time.js';
import { describe, expect, it } from 'vitest';
import { explainMessage, type MessageFacts } from '../../../src/analytics/explain-message.js';
import { OVERDUE, RESTORED } from '../../../src/delivery/message/overdue.js';
import { EARLIER, factsWith as with_, LATER, NOW, type Change } from './message-facts.js';

const BROADCAST = {
  title: 'News',
  state: 'running',
  stateReason: null,
  scheduledAt: null,
  startedAt: EARLIER,
  plannedAt: null,
};
const suppression = (scope: 'all' | 'marketing', reason = 'hard_bounce') => ({
  scope,
  reason,
  source: 'smtp',
  since: EARLIER,
});
const attempt = (outcome: string, stage = 'RCPT TO') => ({
  startedAt: EARLIER,
  stage,
  outcome,
  replyCode: 450,
  replyText: 'busy',
  relay: 'main',
});
const status = (value: string) => ({
  status: value,
  consent: { kind: 'withdrawn', at: EARLIER, wording: null },
});
const broadcast = (state: string) => ({ ...BROADCAST, state });
const held = (stateReason: string | null) => ({ state: 'held', stateReason });
const ended = (state: string, stateReason: string) => ({ state, stateReason, settledAt: NOW });

const late = (action: 'held' | 'expired', reason: string) => ({ late: { action, reason } });

const CASES: [decidedBy: string, words: RegExp, change: Change][] = [
  ['NEXT_RUN', /next run/, {}],
  [
    'WAITS_FOR_KEY',
    /key is missing or bad: DKIM for example\.com: this worker has no key.*expires after 5 days/,
    { message: { dueAt: LATER, stateReason: 'DKIM for example.com: this worker has no key' } },
  ],
  [
    'WAITS_FOR_KEY',
    /expires after 7 days/,
    { message: { class: 'transactional', stateReason: 'DKIM for example.com: this worker has no key' } },
  ],
  ['NOT_DUE_YET', /due at Wed 7 Jan 2026, 15:00 UTC/, { message: { dueAt: LATER } }],
  [
    'GREYLISTED',
    /The receiver greylists: .* tried again at Wed 7 Jan 2026, 15:00 UTC/,
    { message: { dueAt: LATER, stateReason: 'greylisted' }, attempts: [attempt('ready')] },
  ],
  [
    'RETRY_LATER',
    /tried again at .*: mailbox full/,
    { message: { dueAt: LATER, stateReason: 'mailbox_full' }, attempts: [attempt('ready')] },
  ],
  ['RETRY_LATER', /tried again/, { message: { dueAt: LATER, unknownCount: 1 } }],
  [
    'EXITED_BY_PURCHASE',
    /bought/,
    { message: { dueAt: LATER, unknownCount: 1, withdrawn: 'purchased guide' } },
  ],
  ['SEQUENCE_PAUSED', /its sequence are paused until the owner/, { sequencePaused: true }],
  [
    'HELD_OVERDUE',
    /late by an outage or a missing DKIM key: when it comes up it is held until/,
    late('held', OVERDUE),
  ],
  [
    'EXPIRED_OVERDUE',
    /late by an outage or a missing DKIM key: when it comes up it is skipped/,
    late('expired', OVERDUE),
  ],
  ['HELD_RESTORED', /may have gone out already: .* held until the owner/, late('held', RESTORED)],
  ['EXPIRED_RESTORED', /may have gone out already: .* skipped/, late('expired', RESTORED)],
  ['SEQUENCE_PAUSED', /paused/, { ...late('expired', OVERDUE), sequencePaused: true }],
  ['HELD_RESTORED', /held until/, { ...late('held', RESTORED), sequencePaused: true }],
  ['BROADCAST_PAUSED', /paused/, { ...late('expired', OVERDUE), broadcast: broadcast('paused') }],
  ['HELD_RESTORED', /held until/, { ...late('held', RESTORED), broadcast: broadcast('paused') }],
  ['SENDING_REFUSED', /a copy/, { refusal: 'this is a copy of the database' }],
  ['LEAVINGS_WAIT', /has not said that all readers who left.*15:00 UTC at the latest/, { leavings: LATER }],
  ['MAILBOX_FIRST', /bounce mailbox is read before.*15:00 UTC at the latest/, { mailbox: LATER }],
  ['PACED', /“To Gmail”.*15:00/, { pacing: [{ bucket: 'group:gmail', byDay: false, until: LATER }] }],
  ['DAILY_QUOTA', /“All mails” has used up/, { pacing: [{ bucket: 'global', byDay: true, until: LATER }] }],
  [
    'RELAY_OUT',
    /main \(421 busy\)/,
    { relays: [{ name: 'main', state: 'open', retryAt: LATER, reason: '421 busy' }] },
  ],
  ['SUBSCRIBER_NOT_ACTIVE', /has unsubscribed.*withdrawn on/, { person: status('unsubscribed') }],
  ['SUBSCRIBER_NOT_ACTIVE', /not confirmed/, { person: { status: 'pending', consent: null } }],
  ['SUBSCRIBER_NOT_ACTIVE', /does not take mail/, { person: status('bounced') }],
  ['SUBSCRIBER_NOT_ACTIVE', /complaint/, { person: status('complained') }],
  [
    'SUBSCRIBER_NOT_ACTIVE',
    /was not on the list.*again today/,
    { message: ended('suppressed', 'subscriber is not active') },
  ],
  [
    'SUBSCRIBER_NOT_ACTIVE',
    /has unsubscribed today/,
    { message: ended('suppressed', 'subscriber is not active'), person: status('unsubscribed') },
  ],
  ['PERSON_ERASED', /erased/, { person: null }],
  ['SUPPRESSED', /every mail since .*hard bounce, by way of “smtp”/, { suppressions: [suppression('all')] }],
  ['SUPPRESSED', /newsletters and offers/, { suppressions: [suppression('marketing', 'unsubscribed')] }],
  [
    'SUPPRESSED',
    /every mail/,
    { message: ended('suppressed', 'suppression list'), suppressions: [suppression('all')] },
  ],
  ['SUPPRESSED', /lifted since/, { message: ended('suppressed', 'suppression list') }],
  ['SUPPRESSED_STATE', /taken off.*some new rule/, { message: ended('suppressed', 'some new rule') }],
  ['TOPIC_OPTED_OUT', /mails about “niche-ebook” since/, { optedOutSince: EARLIER }],
  ['TOPIC_OPTED_OUT', /now they do/, { message: ended('suppressed', 'opted out of the topic') }],
  ['BROADCAST_PAUSED', /“News” is paused/, { sequence: null, broadcast: broadcast('paused') }],
  ['BROADCAST_PAUSED', /paused/, { message: held('broadcast paused') }],
  ['BROADCAST_CANCELLED', /“News” was cancelled/, { sequence: null, broadcast: broadcast('cancelled') }],
  [
    'BROADCAST_CANCELLED',
    /“News” was cancelled/,
    { message: ended('cancelled', 'broadcast cancelled'), broadcast: BROADCAST },
  ],
  [
    'HELD_OVERDUE',
    /late by an outage.*until the owner decides/,
    { message: held('overdue after an outage') },
  ],
  [
    'HELD_RESTORED',
    /backup that was restored.*until the owner decides/,
    { message: held('restored backup') },
  ],
  [
    'HELD_UNFIT',
    /could not see the postal address: mend/,
    { message: held('its reader could not see the postal address') },
  ],
  ['HELD', /some new reason/, { message: held('some new reason') }],
  ['HELD', /no reason/, { message: held(null) }],
  ['WAITS_FOR_TEST', /result of the split test/, { message: held('waits for the split test') }],
  [
    'PAUSED_BY_READER',
    /pause, which is over today, .* A broadcast does not come later/,
    { message: { ...ended('suppressed', 'paused by the reader'), kind: 'broadcast' } },
  ],
  [
    'PAUSED_BY_READER',
    /until .*: a broadcast that comes up before then passes them by/,
    { message: { kind: 'broadcast' }, person: { ...status('active'), pausedUntil: LATER } },
  ],
  ['LEASED', /worker has it/, { message: { state: 'leased' } }],
  ['IN_DATA', /on its way/, { message: { state: 'leased', dataAt: NOW } }],
  ['EXPIRED', /of use until/, { message: { expiresAt: EARLIER } }],
  ['EXPIRED', /of use until/, { message: { ...held('overdue after an outage'), expiresAt: EARLIER } }],
  [
    'EXPIRED',
    /of use until/,
    { message: { ...ended('expired', 'too late to be sent'), expiresAt: EARLIER } },
  ],
  [
    'RETRIES_EXHAUSTED',
    /without success: the receiver greylists/,
    { message: ended('expired', 'greylisted') },
  ],
  ['ACCEPTED', /took it at Wed 7 Jan/, { message: { state: 'accepted', acceptedAt: NOW } }],
  [
    'REJECTED',
    /refused for good: unknown user/,
    { message: ended('rejected', 'unknown user'), attempts: [attempt('rejected')] },
  ],
  [
    'UNSENDABLE',
    /no link to unsubscribe/,
    {
      message: ended('rejected', 'the mail has no link to unsubscribe'),
      attempts: [attempt('rejected', 'render')],
    },
  ],
  [
    'UNKNOWN',
    /taken it or not: connection lost/,
    { message: ended('unknown', 'connection lost'), attempts: [attempt('unknown')] },
  ],
  ['EXITED_BY_PURCHASE', /bought “launch-kit”/, { message: ended('cancelled', 'purchased launch-kit') }],
  [
    'EXITED_BY_UNSUBSCRIBING',
    /unsubscribed before its turn/,
    { message: ended('cancelled', 'unsubscribed') },
  ],
  ['EXITED_BY_TOPIC', /opted out of this topic/, { message: ended('cancelled', 'topic opt-out') }],
  ['CANCELLED_BY_OWNER', /the owner cancelled it/, { message: ended('cancelled', 'cancelled by the owner') }],
];

describe('why a mail was (not) sent', () => {
  it.each(CASES)('%s %s', (decidedBy, words, change) => {
    const answer = explainMessage(with_(change));
    expect(answer.decidedBy).toBe(decidedBy);
    expect(answer.answer).toMatch(words);
  });

  it('says once that its broadcast is paused, of a mail that is held for it', () => {
    const paused = { sequence: null, broadcast: broadcast('paused') };
    const { chain, answer } = explainMessage(with_({ ...paused, message: held('broadcast paused') }));
    const codes = chain.map(({ code }) => code).filter((code) => code === 'BROADCAST_PAUSED');
    expect(codes).toHaveLength(1);
    expect(answer).toMatch(/“News” is paused/);
  });

  it.each<[waits: string, message: Partial<MessageFacts['message']>]>([
    ['FREQUENCY_CAP', { stateReason: 'frequency cap: 1 a day' }],
    ['OUTSIDE_SEND_WINDOW', { stateReason: 'outside the send window' }],
    ['GREYLISTED', { stateReason: 'greylisted' }],
    ['NOT_DUE_YET', {}],
    ['RETRY_LATER', { unknownCount: 1 }],
  ])(
    'says of a mail that waits past its end that it never goes, not when it may go: %s',
    (waits, message) => {
      const soon = new Date('2026-01-07T13:00:00Z');
      const late = explainMessage(with_({ message: { ...message, dueAt: LATER, expiresAt: soon } }));
      expect(late.decidedBy).toBe('EXPIRES');
      expect(late.answer).toMatch(
        /of use until Wed 7 Jan 2026, 13:00 UTC only.* later, Wed 7 Jan 2026, 15:00/,
      );
      expect(late.chain.map(({ code }) => code)).toContain(waits);
      const inTime = explainMessage(with_({ message: { ...message, dueAt: soon, expiresAt: LATER } }));
      expect(inTime.decidedBy).toBe(waits);
      expect(inTime.chain.at(-1)).toMatchObject({ code: 'OF_USE_UNTIL', verdict: 'info', at: LATER });
    },
  );

  it.each([
    ['suppression list', 'SUPPRESSED'],
    ['opted out of the topic', 'TOPIC_OPTED_OUT'],
    ['subscriber is not active', 'SUBSCRIBER_NOT_ACTIVE'],
    ['left the list', 'LEFT_LIST'],
  ])(
    'tells of a mail of unclear end what kept it from a second try, which did not end it: %s',
    (reason, code) => {
      const answer = explainMessage(with_({ message: ended('unknown', reason) }));
      expect(answer.decidedBy).toBe('UNKNOWN');
      expect(answer.chain).toContainEqual(expect.objectContaining({ code, verdict: 'info' }));
    },
  );

  it('says of a held mail until when it is of use', () => {
    const answer = explainMessage(with_({ message: { ...held('paused by the reader'), expiresAt: LATER } }));
    expect(answer.decidedBy).toBe('HELD_BY_READER');
    expect(answer.chain.at(-1)).toMatchObject({ code: 'OF_USE_UNTIL', at: LATER });
  });

  it('tells the whole way in the order in which the engine asks', () => {
    const answer = explainMessage(
      with_({
        message: { state: 'accepted', acceptedAt: NOW },
        attempts: [attempt('ready'), { ...attempt('accepted', 'done'), replyCode: 250, replyText: '250 OK' }],
        reports: [{ verdict: 'hard', reason: 'unknown user', source: 'smtp', trusted: true, at: LATER }],
      }),
    );
    expect(answer.chain.map(({ code }) => code)).toEqual([
      'PLANNED_BY_SEQUENCE',
      'DUE_BY_STEP',
      'CLASS_MARKETING',
      'CONSENT_GIVEN',
      'NOT_SUPPRESSED',
      'TOPIC_WANTED',
      'ATTEMPT_DEFERRED',
      'ATTEMPT_ACCEPTED',
      'ACCEPTED',
      'REPORT_HARD',
    ]);
    expect(answer.chain[1]?.text).toBe(
      "The step runs 2 days after the step before, at 09:30, on Mon, Tue from 08:00 to 19:00, on the reader's clock (Europe/Berlin): that was Wed 7 Jan 2026, 10:00 Europe/Berlin.",
    );
    expect(answer.chain[3]?.text).toContain('Send me tips.');
    expect(answer.chain[6]?.text).toBe(
      'Attempt 1 through main: not taken for now (stage: RCPT TO). The relay said: 450 busy',
    );
  });

  it.each([
    ['confirmation', 'PLANNED_BY_SIGNUP'],
    ['receipt', 'PLANNED_BY_ORDER'],
    ['notice', 'PLANNED_BY_REQUEST'],
  ])('asks a %s for no consent, only whether the address is closed to all mail', (kind, code) => {
    const service = { kind, class: 'transactional', stepKey: null } as const;
    const change = {
      sequence: null,
      person: status('unsubscribed'),
      optedOutSince: EARLIER,
      message: service,
    };
    const free = explainMessage(with_({ ...change, suppressions: [suppression('marketing')] }));
    expect([free.chain[0]?.code, free.decidedBy]).toEqual([code, 'NEXT_RUN']);
    expect(explainMessage(with_({ ...change, suppressions: [suppression('all')] })).decidedBy).toBe(
      'SUPPRESSED',
    );
  });

  it('does not blame what came after the mail had left', () => {
    const answer = explainMessage(
      with_({
        message: { state: 'accepted', acceptedAt: EARLIER },
        person: status('unsubscribed'),
        suppressions: [suppression('marketing')],
        optedOutSince: NOW,
      }),
    );
    expect(answer.decidedBy).toBe('ACCEPTED');
    expect(answer.chain.slice(3, 6).map(({ verdict }) => verdict)).toEqual(['passed', 'passed', 'passed']);
    expect(explainMessage(with_({ message: { state: 'accepted' }, person: null })).decidedBy).toBe(
      'ACCEPTED',
    );
  });

  it('counts a relay as out only when none is left', () => {
    const relays = [
      { name: 'a', state: 'open', retryAt: LATER, reason: null },
      { name: 'b', state: 'closed', retryAt: null, reason: null },
    ];
    expect(explainMessage(with_({ relays })).decidedBy).toBe('NEXT_RUN');
  });

  it('names when a broadcast was set for', () => {
    const chain = explainMessage(
      with_({ sequence: null, broadcast: BROADCAST, broadcastTime: time() }),
    ).chain;
    expect(chain.slice(0, 2).map(({ code }) => code)).toEqual(['PLANNED_BY_BROADCAST', 'DUE_BY_SCHEDULE']);
  });

  const local = { atLocal: '2026-03-05T09:30', fallbackZone: 'Asia/Tokyo', ifPassed: 'nextDay' } as const;
  const time = (change: Partial<BroadcastTimeFacts> = {}): BroadcastTimeFacts => ({
    ...{ scheduledAt: new Date('2026-03-04T19:30:00Z'), timing: null, arm: null },
    ...{ timeZone: 'America/New_York', dueAt: new Date('2026-03-05T14:30:00Z'), isAsPlanned: true },
    ...change,
  });
  const hour = { local, spreadMinutes: 0 };
  it.each<[words: string, Partial<BroadcastTimeFacts>]>([
    ['The broadcast was set for Wed 4 Mar 2026, 19:30 UTC.', {}],
    ["It goes at 2026-03-05 09:30 on the reader's clock (America/New_York).", { timing: hour }],
    [
      'It goes at 2026-03-05 09:30 by the clock of Asia/Tokyo, as that of the reader is not known.',
      { timing: hour, timeZone: null, dueAt: new Date('2026-03-05T00:30:00Z') },
    ],
    [
      'It goes at 2026-03-05 09:30 by the clock of Europe/Berlin, for all readers.',
      {
        timing: { local: { ...local, timezone: 'Europe/Berlin' }, spreadMinutes: 0 },
        dueAt: new Date('2026-03-05T08:30:00Z'),
      },
    ],
    [
      "It goes at 2026-03-05 09:30 on the reader's clock (America/New_York), which had passed when it was its turn, and the next day has that hour again.",
      { timing: hour, dueAt: new Date('2026-03-06T14:30:00Z') },
    ],
    [
      "It goes at 2026-03-05 09:30 on the reader's clock (America/New_York), which had passed when it was its turn, and it went at once.",
      {
        timing: { local: { ...local, ifPassed: 'send' }, spreadMinutes: 0 },
        dueAt: new Date('2026-03-05T16:00:00Z'),
      },
    ],
    [
      "It goes at 2026-03-05 09:30 on the reader's clock (America/New_York).",
      { timing: hour, dueAt: new Date('2026-03-06T14:30:00Z'), isAsPlanned: false },
    ],
    [
      "It goes at 2026-03-05 18:00 on the reader's clock (America/New_York), the hour of its arm of the split test.",
      { timing: hour, arm: { at: '18:00' }, dueAt: new Date('2026-03-05T23:00:00Z') },
    ],
    [
      'The broadcast was set for Wed 4 Mar 2026, 19:30 UTC, with the delay of 90 minutes of its arm of the split test.',
      { arm: { delayMinutes: 90 } },
    ],
    [
      'The broadcast was set for Wed 4 Mar 2026, 19:30 UTC, at its place in 360 minutes over which the mails are spread.',
      { timing: { local: null, spreadMinutes: 360 } },
    ],
  ])('says by which rule and clock the mail of a broadcast is due: %s', (words, change) => {
    expect(broadcastTimeRule(time(change)).text).toBe(words);
  });
});

it('says what a mail offers, and until when; of one that went behind an earlier promise, what it told then', () => {
  const price = (amountMinor: number): object => ({ amountMinor, currency: 'EUR' });
  const offer = { slug: 'kit', price: price(2_450), expiresAt: NOW.toISOString() };
  const offers = { offer, offerAfter: { slug: 'kit', price: price(4_900) } };
  const said = (message: NonNullable<Change['message']>): string | undefined =>
    explainMessage(with_({ message })).chain.find(({ code }) => code === 'OFFERS')?.text;
  expect(said({})).toBeUndefined();
  expect(said({ offers: { offer: null, offerAfter: null } })).toBeUndefined();
  expect(said({ offers })).toMatch(/^It offers “kit” for 24\.50 EUR, until /);
  expect(said({ offers, acceptedAt: EARLIER })).toMatch(/24\.50 EUR, until /);
  expect(said({ offers, acceptedAt: LATER })).toBe('It offers “kit” for 49.00 EUR.');
});
