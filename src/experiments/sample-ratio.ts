import { chiSquareTail, logGamma } from './gamma.js';
import type { Cohort } from './test-plan.js';

/** How sure the alarm is: one good test in a thousand gives one, over its whole life. */
const ALARM = 0.001;
/** How close to the plan a fault is looked for: as if this many people had been seen already. */
const CONCENTRATION = 200;

export interface SampleRatio {
  /** Whether the arms hold other numbers of people than the plan gave them, so that no result of the test can be believed. */
  mismatch: boolean;
  /** The usual chi-square test of this one look, as other tools show it. It is for readers: the alarm does not rest on it. */
  chiSquareP: number;
  /** As it holds at every look at once: at most a when everything is right, with a probability of a. */
  anytimeP: number;
}

/**
 * Compares the people of the arms with the shares by which they were drawn. The alarm is a sequential multinomial test
 * (a mixture of Dirichlet form around the plan, one factor for each period of shares), because a test that is looked at
 * every hour would give a false alarm by chi-square sooner or later.
 */
export function sampleRatio(cohorts: readonly Cohort[]): SampleRatio {
  const periods = new Map<number, { shares: readonly number[]; people: number[] }>();
  for (const { period, shares, arm, reached } of cohorts) {
    const one = periods.get(period) ?? { shares, people: shares.map(() => 0) };
    one.people[arm] = (one.people[arm] ?? 0) + reached;
    periods.set(period, one);
  }
  const logE = [...periods.values()].reduce((sum, period) => sum + logMismatch(period), 0);
  const anytimeP = Math.min(1, Math.exp(-logE));
  return { mismatch: anytimeP <= ALARM, anytimeP, chiSquareP: chiSquareP([...periods.values()]) };
}

function logMismatch({ shares, people }: { shares: readonly number[]; people: readonly number[] }): number {
  let log = logGamma(CONCENTRATION) - logGamma(CONCENTRATION + sum(people));
  for (const [arm, share] of shares.entries()) {
    const count = people[arm] ?? 0;
    // Nobody belongs into an arm without a share.
    if (share === 0 && count > 0) return Number.POSITIVE_INFINITY;
    if (count === 0) continue;
    const prior = CONCENTRATION * share;
    log += logGamma(prior + count) - logGamma(prior) - count * Math.log(share);
  }
  return log;
}

function chiSquareP(periods: readonly { shares: readonly number[]; people: readonly number[] }[]): number {
  const arms = periods[0]?.shares.length ?? 0;
  const seen = Array.from({ length: arms }, (_, arm) => sum(periods.map(({ people }) => people[arm] ?? 0)));
  const expected = Array.from({ length: arms }, (_, arm) =>
    sum(periods.map(({ shares, people }) => (shares[arm] ?? 0) * sum(people))),
  );
  const used = expected.flatMap((value, arm) => (value > 0 ? [{ value, count: seen[arm] ?? 0 }] : []));
  if (used.length < 2) return 1;
  const square = sum(used.map(({ value, count }) => (count - value) ** 2 / value));
  return chiSquareTail(square, used.length - 1);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, one) => all + one, 0);
}
