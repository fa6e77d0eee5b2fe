import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect, it } from 'vitest';
import { end } from '../../../src/analytics/explain-end.js';
import { EXPIRY, type Expiry } from '../../../src/delivery/message/expiry.js';
import { replyWords } from '../../../src/delivery/replies/reply-words.js';
import { VERDICT_OF } from '../../../src/delivery/replies/reply-reason.js';

const AT = new Date('2026-01-07T12:00:00Z');

const expired = (stateReason: string, messageClass: 'marketing' | 'transactional' = 'marketing'): string => {
  const message = { class: messageClass, state: 'expired', stateReason, settledAt: AT, acceptedAt: null };
  const [rule, ...more] = end({ message: { ...message, expiresAt: AT }, attempts: [], broadcast: null });
  expect([more, rule?.verdict]).toEqual([[], 'stopped']);
  return `${rule?.code}: ${rule?.text}`;
};

/** By each cause: nobody can add one and leave it without words. */
const TOLD: Readonly<Record<Expiry, string>> = {
  tooLate: 'EXPIRED: It was of use until Wed 7 Jan 2026, 12:00 UTC, and its turn came later.',
  overdue:
    'EXPIRED_OVERDUE: It was late after an outage or for want of a DKIM key, and late mails are skipped: overdue after an outage.',
  restored:
    'EXPIRED_RESTORED: It was due before a backup of the database was restored, and may have gone out already. The owner’s word was to cancel such mails.',
  unrelayed: 'EXPIRED_NO_RELAY: No mail relay worked for 5 days, so none took it.',
  unsigned:
    "EXPIRED_NO_KEY: Its sender's mail is signed, and the key was missing or bad for 5 days: it was tried on each day and never handed to a relay.",
  putOff: 'EXPIRED_PUT_OFF: It was tried on each day for 5 days, and put off at every try.',
};

it.each(Object.keys(TOLD) as Expiry[])(
  'a mail that expired tells why (%s): all but two causes were told as tries used up',
  (cause) => {
    expect(expired(EXPIRY[cause](5))).toBe(TOLD[cause]);
    expect(expired(EXPIRY[cause](7), 'transactional')).toBe(TOLD[cause].replaceAll('5 days', '7 days'));
  },
);

it.each([
  ['overdue after an outage', /late by an outage or a missing DKIM key, and waited for the owner’s decision/],
  ['restored backup', /in a backup that was restored, and waited for the owner/],
  ['broadcast paused', /its broadcast was paused/],
  ['sequence paused', /mails of its sequence were paused/],
  ['paused by the reader', /reader had asked for a pause/],
  ['waits for the split test', /split test of its broadcast had no result/],
  ['refused because of the sender: blocked', /refused because of the sender: blocked/],
])(
  'a mail that was held (%s) until it was of no use tells so: it said that its turn came later',
  (why, words) => {
    const told = expired(`${why}, too late to be sent`);
    expect(told).toMatch(
      /^EXPIRED: It was of use until Wed 7 Jan 2026, 12:00 UTC, and was held until that was over: /,
    );
    expect(told).toMatch(words);
  },
);

it('a mail whose tries are used up tells what the relay said last', () => {
  for (const said of [...Object.keys(VERDICT_OF), 'the relay closed the connection'])
    expect(expired(said)).toBe(
      `RETRIES_EXHAUSTED: It was tried for about a day without success: ${replyWords(said) ?? said}.`,
    );
});

it('nothing lets mails expire beside the claim, the look at what is held or stale, the end of a pause and the last try, whose causes are all known', () => {
  const writes =
    /withoutSending\(`'expired'`\)|state: 'expired'|then 'expired'|literal\('expired'\)|'held' : 'expired'/m;
  const sources = readdirSync('src/delivery', { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .filter((name) => writes.test(readFileSync(join('src/delivery', name), 'utf8')));
  expect(sources.map((name) => basename(name)).toSorted()).toEqual([
    'expiry.ts',
    'held.queries.ts',
    'mail-moment.queries.ts',
    'overdue.ts',
    'settlement.ts',
    'stale-mails.service.ts',
  ]);
});
