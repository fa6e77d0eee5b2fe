import { describe, expect, it } from 'vitest';
import { timesAfterTest } from '../../../src/broadcasts/broadcast-batch.js';
import {
  armOf,
  cohortsOf,
  decisionText,
  sameArms,
  splitSchema,
  wordsOf,
  type Split,
} from '../../../src/broadcasts/split.js';

const SPLIT: Split = {
  arms: [{}, { subject: 'Other words' }, { template: 'emails/nudge' }],
  testPercent: 20,
  waitMinutes: 60,
  judge: 'clicks',
};

describe('a split test of a broadcast', () => {
  it.each([
    ['a single arm', { arms: [{}] }],
    ['six arms', { arms: [{}, {}, {}, {}, {}, {}] }],
    ['no rest', { testPercent: 100 }],
    ['nobody in the test', { testPercent: 0 }],
    ['no wait', { waitMinutes: 0 }],
    ['opens as the judge', { judge: 'opens' }],
    ['revenue without a cap', { judge: 'revenue' }],
    ['a cap with clicks', { revenueCap: { amountMinor: 4900, currency: 'EUR' } }],
    [
      'a cap in a currency that is none',
      { judge: 'revenue', revenueCap: { amountMinor: 4900, currency: 'ABC' } },
    ],
    ['a subject that breaks the line', { arms: [{}, { subject: 'a\nBcc: x' }] }],
    ['a field it does not know', { alpha: 0.5 }],
  ])('is refused with %s', (_, change) => {
    expect(splitSchema.safeParse({ ...SPLIT, ...change }).success).toBe(false);
    expect(splitSchema.safeParse(SPLIT).success).toBe(true);
  });

  it('gives each arm its words, and a subject only to the mail it was written for', () => {
    const draft = { template: 'emails/story', subject: 'Mine', split: SPLIT };
    expect(wordsOf(draft)).toEqual([
      { template: 'emails/story', subject: 'Mine' },
      { template: 'emails/story', subject: 'Other words' },
      { template: 'emails/nudge', subject: null },
    ]);
    expect(wordsOf({ ...draft, split: null })).toEqual([{ template: 'emails/story', subject: 'Mine' }]);
    expect(sameArms(wordsOf(draft))).toBeNull();
    expect(sameArms(wordsOf({ ...draft, subject: 'Other words' }))).toEqual([0, 1]);
  });

  it('draws its part of the audience and the arms in it by lot, the same each time', () => {
    const counts = [0, 0, 0];
    let rest = 0;
    for (let id = 1; id <= 30_000; id++) {
      const arm = armOf({ id: '7', split: SPLIT }, String(id));
      if (arm === null) rest++;
      else counts[arm] = (counts[arm] ?? 0) + 1;
    }
    // 24,000 and 2,000 each; five standard deviations.
    expect(Math.abs(rest - 24_000)).toBeLessThan(350);
    for (const count of counts) expect(Math.abs(count - 2_000)).toBeLessThan(220);
    expect(armOf({ id: '7', split: SPLIT }, '5')).toBe(armOf({ id: '7', split: SPLIT }, '5'));
  });

  it('tells the statistics of each reader’s money by its part of the cap', () => {
    const split: Split = { ...SPLIT, judge: 'revenue', revenueCap: { amountMinor: 5_000, currency: 'EUR' } };
    const own = {
      arm: 1,
      sent: 40,
      clickers: 9,
      revenueMinor: 9_000,
      capped: [{ amountMinor: 2_500, readers: 2 }],
    };
    expect(cohortsOf(split, [own])[1]).toMatchObject({
      people: 40,
      reached: 40,
      outcomes: [{ value: 0.5, count: 2 }],
    });
    expect(cohortsOf(SPLIT, [own]).map(({ people, outcomes }) => [people, outcomes])).toEqual([
      [0, []],
      [40, [{ value: 1, count: 9 }]],
      [0, []],
    ]);
  });

  it('does not call a mail of the rest late whose place in the spread is days after the decision', () => {
    const begun = new Date('2026-03-02T09:00:00Z');
    const decided = '2026-03-03T09:00:00.000Z';
    const broadcast = {
      ...{ startedAt: begun, createdAt: begun, decideAt: new Date('2026-03-03T08:59:30Z') },
      timing: { local: null, spreadMinutes: 7 * 24 * 60 },
      decision: { verdict: 'winner' as const, because: null, arm: 1, at: decided },
    };
    const inFourDays = new Date('2026-03-06T09:00:00Z');
    const { dueAt, plannedFor } = timesAfterTest(broadcast, { timeZone: null, dueAt: inFourDays });
    expect(dueAt).toEqual(new Date('2026-03-07T09:00:00Z'));
    // An outage of a day before it makes nothing overdue that was not due yet.
    expect(plannedFor).toEqual(new Date('2026-03-07T08:59:30Z'));
  });

  it('says in words what it came to', () => {
    const at = '2026-03-02T09:00:00.000Z';
    expect(decisionText({ verdict: 'winner', because: null, arm: 1, at })).toBe(
      'Arm B won and goes to the rest.',
    );
    expect(decisionText({ verdict: 'no_winner', because: 'horizon', arm: 0, at })).toBe(
      'No winner: no arm was shown to be better. The rest gets arm A, the first.',
    );
  });
});
