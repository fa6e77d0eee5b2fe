import type { Money } from '../values/money.js';
import { assign } from './assign.js';
import { plannedShares, type TestPlan } from './test-plan.js';

/** A split test at a step of a sequence, with the times and amounts that its plan speaks of. */
export interface ExperimentTerms extends TestPlan {
  /** From when a person comes to the step: what they do until then counts. It covers the delays of the arms. */
  withinSeconds: number;
  /** From the start of the test: when it ends, with a winner or without. */
  horizonSeconds: number;
  /** What one person can bring at most; null unless the test is judged by revenue. */
  cap: Money | null;
  /** Whether arms differ in when they send. People are then drawn when they come to the step, else when it sends. */
  isTimed: boolean;
  /** Of arms that are paths of their own: the steps of each that send a mail. Left out where arms are mails of one step. */
  paths?: Record<string, string[]>;
}

/** Somebody's place in a test. `carried`: they had the arm in an earlier form of the test, and do not count in this one. */
export interface Assignment {
  experimentId: string;
  arm: string;
  period: number;
  carried: boolean;
  /** Not written down yet. */
  isNew: boolean;
}

/** Somebody who comes to a step with a test. */
export interface NewAssignment extends Omit<Assignment, 'isNew'> {
  subscriberId: string;
  enrollmentId: string;
}

/** Where a person would stand in a test that begins now: as a simulation draws them. */
export function drawnAtFirst(
  { test, terms }: { test: string; terms: ExperimentTerms },
  personId: string,
): Assignment {
  const arm = assign(
    { test, arms: terms.arms, holdoutBps: terms.holdoutBps },
    plannedShares(terms),
    personId,
  );
  return { experimentId: '', arm, period: 0, carried: false, isNew: false };
}
