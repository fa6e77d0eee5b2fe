import type { Cohort } from './test-plan.js';

/**
 * How much better the better arm may be, as a ratio of rates; the bets below are spread evenly over these. Close steps
 * for what tests find, far ones for what is evident after a handful of people.
 */
const RATIOS = [1.04, 1.08, 1.15, 1.25, 1.4, 1.6, 2, 2.7, 4, 10, 100];

/**
 * Evidence, as the logarithm of an e-value, that people of arm `better` bring more on average than `ratio` times those
 * of arm `worse`.
 *
 * Each person is a bet at fair odds. Whoever brings the value y (0 to 1) from arm j multiplies the stake by
 * `1 + y (q_j / p_j - 1)`, where p are the shares by which the two arms were drawn and q those that would be seen if
 * `better` were better by one of `RATIOS`. If it is not better, the expected stake is at most 1 after every person
 * (`p·y·(q/p - 1)` sums to `(q_better - p_better)(mean_better - mean_worse)`, which is not positive), whatever the
 * values are distributed like, however the shares depended on the past, and whenever somebody looks. By Ville's
 * inequality the stake then reaches 1/a at any time with a probability of at most a: no number of looks uses it up, no
 * variance has to be estimated, and one large order cannot win a test, since its value is at most 1.
 *
 * For clicks this is the sequential test on "which arm did this clicker come from", which costs nothing at the rates of
 * mail; an arm's non-clickers enter by the shares alone. Needs cohorts that are whole: of the people up to some moment,
 * all whose time is over, in both arms.
 */
export function logEvidence(cohorts: readonly Cohort[], pair: Pair, ratio = 1): number {
  const stakes = noStakes();
  for (const cohort of cohorts) placeBets(stakes, cohort, pair, ratio);
  return logMean(stakes);
}

/** Two arms, of which one is asked whether it is better. */
export interface Pair {
  better: number;
  worse: number;
}

/** Logarithms of what the stakes have come to, one for each bet, before anybody has come. */
export function noStakes(): number[] {
  return RATIOS.map(() => 0);
}

/** The bets on the people of one cohort. Whole cohorts and their parts come to the same, in whatever order. */
export function placeBets(
  stakes: number[],
  { arm, shares, outcomes }: Pick<Cohort, 'arm' | 'shares' | 'outcomes'>,
  { better, worse }: Pair,
  ratio = 1,
): void {
  if (arm !== better && arm !== worse) return;
  const [b, w] = [shares[better] ?? 0, shares[worse] ?? 0];
  // Nobody could come from the other arm: there is nothing to compare.
  if (b === 0 || w === 0) return;
  const scale = arm === better ? 1 / Math.max(1, ratio) : Math.min(1, ratio);
  // Plain loops: a simulation asks a million times.
  for (let index = 0; index < RATIOS.length; index++) {
    const rate = RATIOS[index] ?? 1;
    const bet = scale * (((arm === better ? rate : 1) * (b + w)) / (w + b * rate) - 1);
    let log = stakes[index] ?? 0;
    for (const { value, count } of outcomes) log += count * Math.log1p(value * bet);
    stakes[index] = log;
  }
}

/**
 * How many times as much `arm` brings as `other`, with a confidence that holds at every look at once: each end fails
 * with a probability of at most `level`. 0 and null (no end) where the people do not say yet.
 */
export function liftInterval(
  cohorts: readonly Cohort[],
  [arm, other]: readonly [number, number],
  level: number,
): { low: number; high: number | null } {
  const low = provenRatio(cohorts, { better: arm, worse: other }, level);
  const inverse = provenRatio(cohorts, { better: other, worse: arm }, level);
  return { low, high: inverse === 0 ? null : 1 / inverse };
}

/** ln of the largest ratio that is looked for. */
const FAR = Math.log(1_000);
const HALVINGS = 30;

/** The largest ratio that is shown to be exceeded. The evidence falls as the ratio grows. */
function provenRatio(
  cohorts: readonly Cohort[],
  pair: { better: number; worse: number },
  level: number,
): number {
  const isProven = (logRatio: number): boolean =>
    logEvidence(cohorts, pair, Math.exp(logRatio)) >= -Math.log(level);
  if (!isProven(-FAR)) return 0;
  let [low, high] = [-FAR, FAR];
  for (let step = 0; step < HALVINGS; step++) {
    const middle = (low + high) / 2;
    if (isProven(middle)) low = middle;
    else high = middle;
  }
  return Math.exp(low);
}

/** ln of the mean of numbers given by their logarithms. */
export function logMean(logs: readonly number[]): number {
  let most = Number.NEGATIVE_INFINITY;
  for (const log of logs) most = Math.max(most, log);
  let sum = 0;
  for (const log of logs) sum += Math.exp(log - most);
  return most + Math.log(sum / logs.length);
}
