import { logEvidence } from './evidence.js';
import { breaches, type Breach } from './guard-rails.js';
import { sampleRatio, type SampleRatio } from './sample-ratio.js';
import type { Cohort, Harm, TestPlan } from './test-plan.js';

export interface TestData {
  cohorts: readonly Cohort[];
  harms: readonly Harm[];
  /** Whether the time of the test is up. */
  isOver: boolean;
  /** Places of arms that were stopped before and stay so, whatever their numbers say now. */
  stopped?: ReadonlySet<number>;
}

/** What is to be done with a test now. `arm` is what everybody gets from here on. */
export type Verdict =
  | { kind: 'running' }
  | { kind: 'winner'; arm: string }
  | { kind: 'no_winner'; arm: string; because: 'horizon' | 'sample_ratio' | 'guard_rails' }
  /** The owner has stopped it and chosen: the numbers have shown nothing. */
  | { kind: 'stopped'; arm: string; isChosen: boolean };

export interface Judgement {
  verdict: Verdict;
  ratio: SampleRatio;
  breaches: Breach[];
  /** Per arm, the logarithm of the evidence that it is better than each other one. */
  logEvidence: number[];
}

/** The evidence an arm needs over every other one, as a logarithm. */
export function logThreshold({ arms, alpha }: Pick<TestPlan, 'arms' | 'alpha'>): number {
  return Math.log(arms.length / alpha);
}

/**
 * Judges a test by the people whose time is over; as good at every look as at one. An arm wins when it is shown to be
 * better than each arm that is not stopped: for two arms with a chance of alpha/2 to be wrong in either direction, for
 * k arms with alpha/k each, so that the chance that any arm wins which is not the best is at most alpha. *No winner* is
 * an answer: the time is up, or the people in the arms are not as many as planned, so that no result can be believed.
 */
export function decide(plan: TestPlan, { cohorts, harms, isOver, stopped: before }: TestData): Judgement {
  const ratio = sampleRatio(cohorts);
  const broken = breaches(plan, harms);
  const stopped = new Set([...(before ?? []), ...broken.map(({ arm }) => arm)]);
  const live = plan.arms.map((_, arm) => arm).filter((arm) => !stopped.has(arm));
  const evidence = plan.arms.map((_, arm) => leastEvidence(cohorts, arm, live));
  const verdict = verdictOf({ plan, live, evidence, isOver, mismatch: ratio.mismatch });
  return { verdict, ratio, breaches: broken, logEvidence: evidence };
}

function leastEvidence(cohorts: readonly Cohort[], arm: number, live: readonly number[]): number {
  const others = live.filter((other) => other !== arm);
  if (others.length === 0) return 0;
  return Math.min(...others.map((other) => logEvidence(cohorts, { better: arm, worse: other })));
}

function verdictOf({
  plan,
  live,
  evidence,
  isOver,
  mismatch,
}: {
  plan: TestPlan;
  live: readonly number[];
  evidence: readonly number[];
  isOver: boolean;
  mismatch: boolean;
}): Verdict {
  const keyOf = (arm: number | undefined): string => plan.arms[arm ?? 0]?.key ?? '';
  const fallback = keyOf(live[0]);
  if (live.length < 2) return { kind: 'no_winner', arm: fallback, because: 'guard_rails' };
  if (mismatch)
    return isOver ? { kind: 'no_winner', arm: fallback, because: 'sample_ratio' } : { kind: 'running' };
  const winner = live.find((arm) => (evidence[arm] ?? 0) >= logThreshold(plan));
  if (winner !== undefined) return { kind: 'winner', arm: keyOf(winner) };
  return isOver ? { kind: 'no_winner', arm: fallback, because: 'horizon' } : { kind: 'running' };
}
