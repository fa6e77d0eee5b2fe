/** What a split test is about, as it was planned. It never changes: another plan is another test. */
export interface TestPlan {
  /** At least two. The first is the control: what everybody gets when nothing wins. */
  arms: readonly { key: string; weight: number }[];
  /** People who get nothing at this place, in basis points; they show what the mail is worth at all. */
  holdoutBps: number;
  /** `clicks`: people with at least one click that a person made. `revenue`: money per person, each person's up to the cap. */
  judge: 'clicks' | 'revenue';
  /** The chance of a false winner, over the whole life of the test and however often it is looked at. */
  alpha: number;
  /** Part of the people that is spread evenly over the arms, whatever the others say; null: the shares stay as they are. */
  optimise: { explore: number } | null;
  /** An arm that is shown to exceed one of these is stopped. Rates of the people it was given to, 0.003 for 0.3 %. */
  guardRails: { unsubscribes: number | null; complaints: number | null };
}

/** The part of the people each arm gets, in the order of the arms; sums to 1. An arm that was stopped has 0. */
export type Shares = readonly number[];

/** People of one arm who came while the shares were as they were. */
export interface Cohort {
  /** Place among the arms of the plan. */
  arm: number;
  /** Counts how often the shares had changed before; equal periods have equal shares. */
  period: number;
  shares: Shares;
  /** Those whose time to act is over; nobody else is here. */
  people: number;
  /**
   * Those of them who are compared with the shares: who had the mail. Where arms differ in their timing, all but those whom
   * the mail of their arm should have come to and did not: more of those who wait longer leave before it.
   */
  reached: number;
  /**
   * What they brought: 1 for a click, for money its part of the cap, at most 1. Equal values are counted together, and
   * those who brought nothing are left out.
   */
  outcomes: readonly { value: number; count: number }[];
}

/** What went wrong with people of one arm up to now, whether their time is over or not. */
export interface Harm {
  arm: number;
  people: number;
  unsubscribes: number;
  complaints: number;
  /** Those of them that are of a single organisation, or mailbox, and may be one person's. */
  ofOne?: number;
}

export function plannedShares({ arms }: Pick<TestPlan, 'arms'>): number[] {
  const all = arms.reduce((sum, { weight }) => sum + weight, 0);
  return arms.map(({ weight }) => weight / all);
}
