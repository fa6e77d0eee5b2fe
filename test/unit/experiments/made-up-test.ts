import type { TestData } from '../../../src/experiments/decide.js';
import type { Cohort, TestPlan } from '../../../src/experiments/test-plan.js';

export const planOf = (arms: string[], more: Partial<TestPlan> = {}): TestPlan => ({
  arms: arms.map((key) => ({ key, weight: 1 })),
  holdoutBps: 0,
  judge: 'clicks',
  alpha: 0.05,
  optimise: null,
  guardRails: { unsubscribes: null, complaints: null },
  ...more,
});

export const cohort = (
  arm: number,
  people: number,
  clicks: number,
  shares = [0.5, 0.5],
  period = 0,
): Cohort => ({
  arm,
  period,
  shares,
  people,
  reached: people,
  outcomes: clicks === 0 ? [] : [{ value: 1, count: clicks }],
});

export const dataOf = (cohorts: readonly Cohort[], isOver = false): TestData => ({
  cohorts,
  harms: [],
  isOver,
});
