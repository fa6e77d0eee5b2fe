import { plannedShares, type Cohort, type Shares, type TestPlan } from './test-plan.js';

const POINTS = 500;
/** Standard deviations around the mean that are looked at. */
const REACH = 7;

interface Belief {
  /** Parameters of the Beta distribution of what a person of the arm brings. */
  a: number;
  b: number;
}

/**
 * The shares of the next period: each arm gets the chance that it is the best one, after what is known, plus its part by
 * weight of the people who are there to explore. The weights are also the odds before anything is known: an arm that its
 * owner wants little of at first has to show more before it gets much. Arms in `stopped` get nobody. The same people give
 * the same shares.
 *
 * Thompson's rule, with the chances integrated instead of drawn. A value between 0 and 1 counts as that part of a
 * success, which takes the spread of money for larger than it is: the shares then move later, never too soon.
 */
export function nextShares(
  plan: Pick<TestPlan, 'arms' | 'optimise'>,
  cohorts: readonly Cohort[],
  stopped: ReadonlySet<number> = new Set(),
): Shares {
  const live = plan.arms.map((_, arm) => arm).filter((arm) => !stopped.has(arm));
  if (live.length === 0) throw new Error('every arm is stopped');
  const planned = partsOfOne(plannedShares(plan).map((share, arm) => (stopped.has(arm) ? 0 : share)));
  if (plan.optimise === null) return rounded(planned);
  const { explore } = plan.optimise;
  const chances = chancesOfBest(live.map((arm) => beliefOf(cohorts, arm)));
  const best = partsOfOne(planned.map((share, arm) => share * (chances[live.indexOf(arm)] ?? 0)));
  return rounded(planned.map((share, arm) => explore * share + (1 - explore) * (best[arm] ?? 0)));
}

/** Smaller moves are not worth a period of their own. */
const MOVE = 0.02;

/** Whether the shares are so far from those by which people are drawn that they are drawn by them from now on. */
export function isMove(present: Shares, shares: Shares): boolean {
  // The last of an arm that was stopped matters, however little it is.
  return shares.some(
    (share, arm) => Math.abs(share - (present[arm] ?? 0)) >= MOVE || (share === 0) !== (present[arm] === 0),
  );
}

function partsOfOne(shares: readonly number[]): number[] {
  const all = shares.reduce((sum, share) => sum + share, 0);
  return shares.map((share) => share / all);
}

function beliefOf(cohorts: readonly Cohort[], arm: number): Belief {
  let [people, brought] = [0, 0];
  for (const cohort of cohorts) {
    if (cohort.arm !== arm) continue;
    people += cohort.people;
    for (const { value, count } of cohort.outcomes) brought += value * count;
  }
  return { a: 1 + brought, b: 1 + people - brought };
}

/** For each, the chance that it is the largest. Sums to 1. */
export function chancesOfBest(beliefs: readonly Belief[]): number[] {
  const spans = beliefs.map(({ a, b }) => {
    const mean = a / (a + b);
    const reach = REACH * Math.sqrt((mean * (1 - mean)) / (a + b + 1));
    return { low: mean - reach, high: mean + reach };
  });
  // Below the highest low end nothing can be the largest any more.
  const low = Math.max(0, Math.max(...spans.map((span) => span.low)));
  const high = Math.min(1, Math.max(...spans.map((span) => span.high)));
  const at = (point: number): number => low + ((high - low) * (point + 0.5)) / POINTS;
  const grid = gridOf(at, low);
  const curves = beliefs.map((belief) => densityOn(belief, grid));
  const chances = beliefs.map((_, arm) => {
    let chance = 0;
    for (let point = 0; point < POINTS; point++) {
      let part = curves[arm]?.density[point] ?? 0;
      for (const [other, { below }] of curves.entries()) if (other !== arm) part *= below[point] ?? 0;
      chance += part;
    }
    return chance;
  });
  const all = chances.reduce((sum, chance) => sum + chance, 0);
  return chances.map((chance) => (all > 0 ? chance / all : 1 / chances.length));
}

/** The points that are looked at. Their logarithms are the same for every arm. */
interface Grid {
  low: number;
  step: number;
  logs: Float64Array;
  logMisses: Float64Array;
}

function gridOf(at: (point: number) => number, low: number): Grid {
  const [logs, logMisses] = [new Float64Array(POINTS), new Float64Array(POINTS)];
  for (let point = 0; point < POINTS; point++) {
    logs[point] = Math.log(at(point));
    logMisses[point] = Math.log1p(-at(point));
  }
  return { low, step: at(1) - at(0), logs, logMisses };
}

/** The weight of each point, and of all below it; what lies below `low` is all of the rest. */
function densityOn(
  { a, b }: Belief,
  { low, step: width, logs, logMisses }: Grid,
): { density: Float64Array; below: Float64Array } {
  const mean = a / (a + b);
  const reach = REACH * Math.sqrt((mean * (1 - mean)) / (a + b + 1));
  const top = logWeight(a, b, mean);
  const [density, below] = [new Float64Array(POINTS), new Float64Array(POINTS)];
  const begin = Math.max(0, mean - reach);
  const step = Math.max(0, low - begin) / POINTS;
  let sum = 0;
  for (let point = 0; point < POINTS && step > 0; point++)
    sum += Math.exp(logWeight(a, b, begin + (point + 0.5) * step) - top);
  // In the steps of the points, so that one sum stands for both parts.
  sum *= step / width;
  for (let point = 0; point < POINTS; point++) {
    const weight = Math.exp((a - 1) * (logs[point] ?? 0) + (b - 1) * (logMisses[point] ?? 0) - top);
    density[point] = weight;
    below[point] = sum + weight / 2;
    sum += weight;
  }
  for (let point = 0; point < POINTS; point++) {
    density[point] = (density[point] ?? 0) / sum;
    below[point] = (below[point] ?? 0) / sum;
  }
  return { density, below };
}

function logWeight(a: number, b: number, x: number): number {
  return (a - 1) * Math.log(x) + (b - 1) * Math.log1p(-x);
}

/** To four places, the largest taking what is left over. Nothing is what a stopped arm gets, and no other. */
function rounded(shares: readonly number[]): number[] {
  const result = partsOfOne(shares).map((share) =>
    share > 0 ? Math.max(1, Math.round(share * 10_000)) / 10_000 : 0,
  );
  const rest = 1 - result.reduce((sum, share) => sum + share, 0);
  const largest = result.indexOf(Math.max(...result));
  result[largest] = (result[largest] ?? 0) + rest;
  return result;
}
