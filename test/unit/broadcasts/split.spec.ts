import { describe, expect, it } from 'vitest';
import { timesAfterTest } from '../../../src/broadcasts/broadcast-batch.js';
import {
  armInstead,
  drawing,
  sameArms,
  saysTheSame,
  splitSchema,
  wordsOf,
  type Split,
} from '../../../src/broadcasts/split.js';
import {
  decisionOf,
  decisionText,
  evidenceOf,
  newBreaches,
  type ArmFigures,
} from '../../../src/broadcasts/split-results.js';
import { cohortsOf } from '../../../src/experiments/results.js';

const SPLIT: Split = {
  arms: [{}, { subject: 'Other words' }, { template: 'emails/nudge' }],
  testPercent: 20,
  waitMinutes: 60,
  judge: 'clicks',
};

const figures = (arm: number, sent: number, clickers: number): ArmFigures => ({
  ...{ arm, people: sent, reached: sent, sent, clickers, revenueMinor: 0, capped: [] },
  ...{ unsubscribes: 0, complaints: 0 },
});

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
    ['a field it does not know', { horizon: '3 days' }],
    ['a chance of a false winner of one half', { alpha: 0.5 }],
    ['a holdout of nobody', { holdout: '0%' }],
    ['a holdout that is no percentage', { holdout: 0.1 }],
    ['a guard rail it does not know', { guardRails: { bounces: '2%' } }],
    ['a guard rail of everybody', { guardRails: { complaints: '60%' } }],
    ['an hour that is none', { arms: [{}, { at: '24:30' }] }],
    ['a delay of nothing', { arms: [{}, { delayMinutes: 0 }] }],
    ['an hour and a delay in one arm', { arms: [{}, { at: '20:00', delayMinutes: 60 }] }],
    ['an hour in one arm and a delay in another', { arms: [{ at: '20:00' }, { delayMinutes: 60 }] }],
    ['an offer with a discount that never ends', { arms: [{}, { offer: { key: 'kit', discount: '40%' } }] }],
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

  it('asks for hours that differ where the words do not, and knows the same words at another hour', () => {
    const at = (one: string | undefined, two: string): Split => ({
      ...SPLIT,
      arms: [one === undefined ? {} : { at: one }, { at: two }],
    });
    const words = (split: Split): ReturnType<typeof wordsOf> => wordsOf({ template: 'emails/story', split });
    expect(sameArms(words(at('08:00', '20:00')))).toBeNull();
    expect(sameArms(words(at(undefined, '20:00')))).toBeNull();
    expect(sameArms(words(at('20:00', '20:00')))).toEqual([0, 1]);
    expect(saysTheSame({ template: 'emails/story', subject: null }, words(at('08:00', '20:00')))).toBe(true);
  });

  it.each([
    ['10%', 20, true],
    ['10%', 89, true],
    ['9.99%', 90, true],
    ['10%', 90, false],
    ['50%', 60, false],
  ])(
    'with a holdout of %s and a test of %i % leaves somebody for the winner: %s',
    (holdout, percent, good) => {
      const read = splitSchema.safeParse({ ...SPLIT, holdout, testPercent: percent });
      expect(read.success).toBe(good);
      if (good) return;
      expect(read.error?.issues).toMatchObject([
        { path: ['holdout'], message: expect.stringMatching(/leaves nobody for the winner; .* below 100 %/) },
      ]);
    },
  );

  it('draws its part of the audience, the arms in it and the holdout by lot, the same each time', () => {
    const count = (split: Split): Record<string, number> => {
      const counts: Record<string, number> = {};
      const draw = drawing({ id: '7', split });
      for (let id = 1; id <= 30_000; id++) {
        const drawn = draw(String(id));
        counts[drawn] = (counts[drawn] ?? 0) + 1;
      }
      return counts;
    };
    // 24,000 and 2,000 each, and 3,000 of the 24,000 that are held out; five standard deviations.
    const all = count(SPLIT);
    expect(Math.abs((all['rest'] ?? 0) - 24_000)).toBeLessThan(350);
    for (const arm of ['0', '1', '2']) expect(Math.abs((all[arm] ?? 0) - 2_000)).toBeLessThan(220);
    expect(all['holdout']).toBeUndefined();
    const held = count({ ...SPLIT, holdout: '10%' });
    expect(Math.abs((held['holdout'] ?? 0) - 3_000)).toBeLessThan(260);
    // Who is in the test is so with a holdout and without.
    expect(['0', '1', '2'].map((arm) => held[arm])).toEqual(['0', '1', '2'].map((arm) => all[arm]));
    const [first, again] = [drawing({ id: '7', split: SPLIT }), drawing({ id: '7', split: SPLIT })];
    expect(first('5')).toBe(again('5'));
  });

  it.each([0, 1, 2])('gives the mails of arm %i, which was stopped, to both others by lot', (own) => {
    const counts = [0, 0, 0];
    const draw = drawing({ id: '7', split: SPLIT });
    for (let id = 1; id <= 30_000; id++) {
      if (draw(String(id)) !== own) continue;
      const arm = armInstead({ id: '7', split: SPLIT, stopped: new Set([own]) }, String(id));
      counts[arm] = (counts[arm] ?? 0) + 1;
    }
    const others = counts.filter((_, arm) => arm !== own);
    const [one = 0, other = 0] = others;
    expect([counts[own], one + other > 1_000]).toEqual([0, true]);
    expect(Math.abs(one - other)).toBeLessThan(5 * Math.sqrt(one + other));
  });

  it('gives the first to everybody when the owner goes on although every arm is stopped', () => {
    expect(armInstead({ id: '7', split: SPLIT, stopped: new Set([0, 1, 2]) }, '5')).toBe(0);
  });

  it('tells the statistics of each reader’s money by its part of the cap', () => {
    const split: Split = { ...SPLIT, judge: 'revenue', revenueCap: { amountMinor: 5_000, currency: 'EUR' } };
    const own = {
      ...figures(1, 40, 9),
      ...{ revenueMinor: 9_000, capped: [{ amountMinor: 2_500, readers: 2 }] },
    };
    const cohorts = (of: Split): ReturnType<typeof cohortsOf> =>
      cohortsOf(evidenceOf({ split: of, figures: [own], stopped: [] }, true));
    expect(cohorts(split)).toMatchObject([
      { arm: 1, people: 40, reached: 40, outcomes: [{ value: 0.5, count: 2 }] },
    ]);
    expect(cohorts(SPLIT)).toMatchObject([{ arm: 1, people: 40, outcomes: [{ value: 1, count: 9 }] }]);
  });

  it('takes the chance of a false winner that the owner has chosen', () => {
    const decided = (alpha: number): string =>
      decisionOf(
        {
          split: { ...SPLIT, arms: [{}, { subject: 'B' }], alpha },
          figures: [figures(0, 1_000, 40), figures(1, 1_000, 73)],
          stopped: [],
        },
        new Date('2026-03-02T09:00:00Z'),
      ).verdict;
    expect([0.2, 0.05, 0.001].map(decided)).toEqual(['winner', 'no_winner', 'no_winner']);
  });

  describe('with guard rails', () => {
    const split: Split = { ...SPLIT, guardRails: { unsubscribes: '2%', complaints: '0.3%' } };
    const calm = [figures(0, 1_000, 50), figures(1, 1_000, 90), figures(2, 1_000, 52)];
    const harmful = calm.map((one) => (one.arm === 1 ? { ...one, unsubscribes: 60 } : one));

    it('stops the arm that is shown to lie above, once, and no arm without them', () => {
      expect(newBreaches({ split, figures: calm, stopped: [] })).toEqual([]);
      expect(newBreaches({ split: SPLIT, figures: harmful, stopped: [] })).toEqual([]);
      // 25 of 1,000 are more than 2 %, and may be chance.
      const unlucky = calm.map((one) => ({ ...one, unsubscribes: 25 }));
      expect(newBreaches({ split, figures: unlucky, stopped: [] })).toEqual([]);
      const [breach] = newBreaches({ split, figures: harmful, stopped: [] });
      expect(breach).toEqual({ arm: 1, rail: 'unsubscribes', rate: 0.06, limit: 0.02 });
      expect(newBreaches({ split, figures: harmful, stopped: [{ arm: 1 }] })).toEqual([]);
      const angry = calm.map((one) => (one.arm === 2 ? { ...one, complaints: 15 } : one));
      expect(newBreaches({ split, figures: angry, stopped: [] })).toMatchObject([
        { arm: 2, rail: 'complaints' },
      ]);
    });

    it('compares the arms that are left, though the stopped one has sent fewer mails than it was to', () => {
      const at = new Date('2026-03-02T09:00:00Z');
      const few = [figures(0, 1_000, 50), figures(1, 120, 30), figures(2, 1_010, 130)];
      const judged = (stopped: { arm: number }[]): unknown =>
        decisionOf({ split, figures: few, stopped }, at);
      expect(judged([])).toMatchObject({ verdict: 'no_winner', because: 'sample_ratio' });
      expect(judged([{ arm: 1 }])).toMatchObject({ verdict: 'winner', arm: 2 });
      // The control that is stopped goes to nobody.
      expect(judged([{ arm: 0 }, { arm: 1 }])).toMatchObject({ because: 'guard_rails', arm: 2 });
    });
  });

  it('does not call a mail of the rest late whose place in the spread is days after the decision', () => {
    const begun = new Date('2026-03-02T09:00:00Z');
    const decided = '2026-03-03T09:00:00.000Z';
    const broadcast = {
      ...{ startedAt: begun, createdAt: begun, decideAt: new Date('2026-03-03T08:59:30Z'), split: SPLIT },
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
    expect(decisionText({ verdict: 'no_winner', because: 'guard_rails', arm: 1, at })).toBe(
      'No winner: fewer than two arms kept to the guard rails. The rest gets arm B, the first that was not stopped.',
    );
  });
});

it.each(['optimise', 'explore'])('a split test of a broadcast says where %s is allowed', (option) => {
  const read = splitSchema.safeParse({ ...SPLIT, [option]: 'thompson' });
  expect(read.error?.issues).toMatchObject([
    {
      message: expect.stringMatching(
        new RegExp(`^${option}: .*split test of a step of a sequence.*takes optimise`),
      ),
    },
  ]);
});
