import { describe, expect, it } from 'vitest';
import { assign } from '../../../src/experiments/assign.js';
import { HOLDOUT } from '../../../src/segments/held-out.js';
import { decide, logThreshold } from '../../../src/experiments/decide.js';
import { logEvidence } from '../../../src/experiments/evidence.js';
import { chiSquareTail, logGamma } from '../../../src/experiments/gamma.js';
import { breaches } from '../../../src/experiments/guard-rails.js';
import { judge, sharesAfter } from '../../../src/experiments/results.js';
import { sampleRatio } from '../../../src/experiments/sample-ratio.js';
import { chancesOfBest, nextShares } from '../../../src/experiments/thompson.js';
import { cohort, dataOf, planOf } from './made-up-test.js';

describe('the shares of a test that optimises itself', () => {
  it('knows the chance of an arm to be the best, as it is known for two', () => {
    expect(
      chancesOfBest([
        { a: 1, b: 1 },
        { a: 1, b: 1 },
      ]),
    ).toEqual([0.5, 0.5].map((half) => expect.closeTo(half, 6)));
    // Beta(2,1) above Beta(1,1): the integral of x · 2x is 2/3.
    expect(
      chancesOfBest([
        { a: 2, b: 1 },
        { a: 1, b: 1 },
      ])[0],
    ).toBeCloseTo(2 / 3, 3);
    // One that is known well, and far below; one that is known badly.
    expect(
      chancesOfBest([
        { a: 50_000, b: 950_000 },
        { a: 30, b: 170 },
      ])[1],
    ).toBeGreaterThan(0.999);
  });

  it('leaves the shares alone unless it is told to, and gives a stopped arm nobody', () => {
    const cohorts = [cohort(0, 1_000, 10), cohort(1, 1_000, 90)];
    expect(nextShares(planOf(['a', 'b']), cohorts)).toEqual([0.5, 0.5]);
    const plan = planOf(['a', 'b', 'c'], { optimise: { explore: 0.3 } });
    const shares = nextShares(plan, cohorts, new Set([1]));
    expect(shares[1]).toBe(0);
    expect(shares[0]).toBeGreaterThanOrEqual(0.15);
  });

  it('gives an arm of the smallest weight more than a stopped one, whose waiting people are sent another', () => {
    const rare = { arms: ['a', 'b'].map((key, at) => ({ key, weight: at === 0 ? 400 : 1 })) };
    const plan = planOf([], { ...rare, optimise: { explore: 0.01 } });
    expect(nextShares(plan, [cohort(0, 1_000, 900), cohort(1, 1_000, 10)])[1]).toBe(0.0001);
  });
});

describe('a test whose arms do not hold the people they should', () => {
  const terms = {
    ...planOf(['a', 'b', 'c'], { optimise: { explore: 0.1 } }),
    ...{ withinSeconds: 1, horizonSeconds: 1, cap: null, isTimed: false },
  };
  const periods = [[0.4, 0.4, 0.2]];
  const outcomes = ['a', 'b', 'c'].map((arm) => ({
    ...{ arm, period: 0, people: 1_000, reached: arm === 'b' ? 900 : 200 },
    outcomes: [{ value: 1, count: arm === 'b' ? 300 : 10 }],
  }));
  const evidence = { terms, periods, outcomes, people: [], isOver: false };

  it('moves no shares by outcomes that nobody can believe, and gives a harmful arm nobody all the same', () => {
    const judgement = judge(evidence);
    expect([judgement.ratio.mismatch, judgement.verdict.kind]).toEqual([true, 'running']);
    expect(sharesAfter(evidence, judgement)).toEqual([0.4, 0.4, 0.2]);
    const breach = { arm: 1, rail: 'complaints', rate: 0.1, limit: 0.01 } as const;
    const [a = 0, b, c = 0] = sharesAfter(evidence, { ...judgement, breaches: [breach] });
    expect([b, a / c]).toEqual([0, 2]);
    const trusted = { ...judgement.ratio, mismatch: false };
    expect(sharesAfter(evidence, { ...judgement, ratio: trusted })[1]).toBeGreaterThan(0.9);
  });
});

describe('weights beside shares that move', () => {
  const planned = planOf(['a', 'b', 'c'], { optimise: { explore: 0.1 } });
  const plan = {
    ...planned,
    arms: planned.arms.map((arm, place) => ({ ...arm, weight: place === 0 ? 8 : 1 })),
  };

  it('are the shares until something is known, also of those that are left when an arm is stopped', () => {
    expect(nextShares(plan, [])).toEqual([0.8, 0.1, 0.1]);
    expect(nextShares(plan, [], new Set([0]))).toEqual([0, 0.5, 0.5]);
  });

  it('do not go with the first look: a bold arm has to show more than luck before it gets much', () => {
    const early = nextShares(plan, [cohort(0, 80, 8), cohort(1, 10, 1), cohort(2, 10, 1)]);
    expect(early[0]).toBeGreaterThan(0.5);
    const late = nextShares(plan, [cohort(0, 8_000, 400), cohort(1, 1_000, 120), cohort(2, 1_000, 50)]);
    expect(late[1]).toBeGreaterThan(0.85);
    expect(late[0]).toBeGreaterThanOrEqual(0.08);
  });
});

describe('who gets which arm', () => {
  const test = { test: 'course/pitch', arms: planOf(['a', 'b']).arms, holdoutBps: 1_000 };
  const people = Array.from({ length: 8_000 }, (_, index) => String(index + 1));

  it('is the same each time, as many as planned, and does not move with other shares more than it must', () => {
    const [before, after] = [
      [0.5, 0.5],
      [0.7, 0.3],
    ].map((shares) => people.map((id) => assign(test, shares, id)));
    expect(people.map((id) => assign(test, [0.5, 0.5], id))).toEqual(before);
    const count = (arms: string[] | undefined, key: string): number =>
      (arms ?? []).filter((arm) => arm === key).length;
    expect(Math.abs(count(before, HOLDOUT) - 800)).toBeLessThan(90);
    expect(Math.abs(count(before, 'a') - 3_600)).toBeLessThan(150);
    expect(count(after, HOLDOUT)).toBe(count(before, HOLDOUT));
    const moved = people.filter((_, index) => before?.[index] !== after?.[index]);
    expect(Math.abs(moved.length - 1_440)).toBeLessThan(120);
  });

  it('is drawn anew for each test', () => {
    const other = { ...test, test: 'course/offer' };
    const same = people.filter((id) => assign(test, [0.5, 0.5], id) === assign(other, [0.5, 0.5], id));
    // Two of the 45 % arms, and the 10 % that are held out.
    expect(Math.abs(same.length / people.length - 0.415)).toBeLessThan(0.02);
  });

  it('is nobody where an arm has no share', () => {
    const arms = new Set(people.slice(0, 2_000).map((id) => assign({ ...test, holdoutBps: 0 }, [0, 1], id)));
    expect([...arms]).toEqual(['b']);
  });
});

describe('the judgement', () => {
  it.each([
    ['too little', [cohort(0, 100, 5), cohort(1, 100, 9)], false, { kind: 'running' }],
    [
      'a clear difference',
      [cohort(0, 2_000, 60), cohort(1, 2_000, 140)],
      false,
      { kind: 'winner', arm: 'b' },
    ],
    [
      'a control that is better',
      [cohort(0, 2_000, 140), cohort(1, 2_000, 60)],
      false,
      { kind: 'winner', arm: 'a' },
    ],
    [
      'the end without one',
      [cohort(0, 500, 25), cohort(1, 500, 26)],
      true,
      { kind: 'no_winner', arm: 'a', because: 'horizon' },
    ],
    ['the end before anybody came', [], true, { kind: 'no_winner', arm: 'a', because: 'horizon' }],
    [
      'a winner at the end',
      [cohort(0, 2_000, 60), cohort(1, 2_000, 140)],
      true,
      { kind: 'winner', arm: 'b' },
    ],
    ['half of an arm lost', [cohort(0, 2_000, 60), cohort(1, 1_000, 140)], false, { kind: 'running' }],
    [
      'half of an arm lost, at the end',
      [cohort(0, 2_000, 60), cohort(1, 1_000, 140)],
      true,
      { kind: 'no_winner', arm: 'a', because: 'sample_ratio' },
    ],
  ])('of %s', (_, cohorts, isOver, verdict) => {
    expect(decide(planOf(['a', 'b']), dataOf(cohorts, isOver)).verdict).toEqual(verdict);
  });

  it('asks of the winner among three that it is better than each', () => {
    const thirds = [1 / 3, 1 / 3, 1 / 3];
    const cohorts = [
      cohort(0, 2_000, 60, thirds),
      cohort(1, 2_000, 140, thirds),
      cohort(2, 2_000, 145, thirds),
    ];
    const { verdict, logEvidence: evidence } = decide(planOf(['a', 'b', 'c']), dataOf(cohorts));
    expect(verdict).toEqual({ kind: 'running' });
    expect(evidence[2]).toBeLessThan(logThreshold(planOf(['a', 'b', 'c'])));
  });

  it('stops an arm that does harm, and leaves it out of the comparison', () => {
    const plan = planOf(['a', 'b', 'c'], { guardRails: { unsubscribes: 0.02, complaints: 0.003 } });
    const thirds = [1 / 3, 1 / 3, 1 / 3];
    const cohorts = [
      cohort(0, 2_000, 60, thirds),
      cohort(1, 2_000, 140, thirds),
      cohort(2, 2_000, 150, thirds),
    ];
    const harms = [0, 1, 2].map((arm) => ({
      arm,
      people: 2_000,
      unsubscribes: 20,
      complaints: arm === 2 ? 30 : 2,
    }));
    const judged = decide(plan, { cohorts, harms, isOver: false });
    expect(judged.breaches).toEqual([{ arm: 2, rail: 'complaints', rate: 0.015, limit: 0.003 }]);
    expect(judged.verdict).toEqual({ kind: 'winner', arm: 'b' });
    const worse = harms.map((harm) => ({ ...harm, unsubscribes: harm.arm === 1 ? 200 : 20 }));
    expect(decide(plan, { cohorts, harms: worse, isOver: false }).verdict).toEqual({
      kind: 'no_winner',
      arm: 'a',
      because: 'guard_rails',
    });
    expect(breaches(planOf(['a', 'b', 'c']), worse)).toEqual([]);
  });

  it('cannot be won by one large order', () => {
    const one = [
      { ...cohort(0, 500, 0), outcomes: [] },
      { ...cohort(1, 500, 0), outcomes: [{ value: 1, count: 1 }] },
    ];
    expect(Math.exp(logEvidence(one, { better: 1, worse: 0 }))).toBeLessThan(2);
  });
});

describe('the sample ratio', () => {
  it('is the usual chi-square', () => {
    expect(chiSquareTail(3.841459, 1)).toBeCloseTo(0.05, 6);
    expect(chiSquareTail(16.2662, 3)).toBeCloseTo(0.001, 6);
    expect(chiSquareTail(0, 1)).toBe(1);
    expect(Math.exp(logGamma(5))).toBeCloseTo(24, 9);
    expect(Math.exp(logGamma(0.5)) ** 2).toBeCloseTo(Math.PI, 9);
  });

  it.each([
    ['5,000 and 5,050', [5_000, 5_050], false],
    ['5,000 and 4,500', [5_000, 4_500], true],
    ['50,000 and 51,500', [50_000, 51_500], true],
    ['50 and 35', [50, 35], false],
  ])('%s', (_, [a = 0, b = 0], mismatch) => {
    expect(sampleRatio([cohort(0, a, 0), cohort(1, b, 0)]).mismatch).toBe(mismatch);
  });

  it('follows the shares of each period', () => {
    const cohorts = [
      cohort(0, 500, 0),
      cohort(1, 500, 0),
      cohort(0, 900, 0, [0.9, 0.1], 1),
      cohort(1, 100, 0, [0.9, 0.1], 1),
    ];
    expect(sampleRatio(cohorts)).toMatchObject({ mismatch: false, chiSquareP: 1 });
    expect(sampleRatio([cohort(0, 5, 0, [1, 0]), cohort(1, 1, 0, [1, 0])]).mismatch).toBe(true);
  });
});
