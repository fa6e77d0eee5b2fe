import { liftInterval } from '../experiments/evidence.js';
import type { Cohort } from '../experiments/test-plan.js';
import type { Money } from '../values/money.js';
import { termsOf, type Split } from './split.js';

/** Orders count so long from the beginning: no spread, wait and hour of the rest together take longer. */
const COUNTED_MS = 30 * 86_400_000;

/** People of a broadcast who were mailed, or held out, as they were drawn: those too whom no mail reached. */
export interface GroupFigures {
  isHeldOut: boolean;
  people: number;
  /** Who has bought, in whatever currency. */
  buyers: number;
  revenue: Money[];
  /** Buyers by what they paid in the currency of the cap, up to it; empty without a cap. */
  capped: { amountMinor: number; readers: number }[];
}

export interface HoldoutGroup {
  people: number;
  buyers: number;
  /** What was paid back is taken off. */
  revenue: (Money & { perPersonMinor: number })[];
}

export interface HoldoutResults {
  mailed: HoldoutGroup;
  heldOut: HoldoutGroup;
  /** How many times as much the mailed bring per person, with the confidence that the test asks for at every look. */
  lift: { low: number; high: number | null };
  /** Until when orders count. */
  until: Date;
}

/** For both groups the same, however late a mail came. */
export function countedUntil(startedAt: Date, now: Date): Date {
  return new Date(Math.min(now.getTime(), startedAt.getTime() + COUNTED_MS));
}

export function holdoutResults(split: Split, figures: readonly GroupFigures[], until: Date): HoldoutResults {
  const { holdoutBps, cap, alpha } = termsOf(split);
  const groups = [false, true].map(
    (isHeldOut): GroupFigures =>
      figures.find((one) => one.isHeldOut === isHeldOut) ?? {
        ...{ isHeldOut, people: 0, buyers: 0, revenue: [], capped: [] },
      },
  );
  const shares = [1 - holdoutBps / 10_000, holdoutBps / 10_000];
  const cohorts = groups.map(({ people, buyers, capped }, arm): Cohort => {
    const outcomes =
      cap === null
        ? [{ value: 1, count: buyers }]
        : capped.map(({ amountMinor, readers }) => ({
            value: Math.min(1, amountMinor / cap.amountMinor),
            count: readers,
          }));
    return { arm, period: 0, shares, people, reached: people, outcomes };
  });
  const [mailed, heldOut] = groups.map(groupOf) as [HoldoutGroup, HoldoutGroup];
  // Each end fails with half of the chance.
  return { mailed, heldOut, lift: liftInterval(cohorts, [0, 1], alpha / 2), until };
}

function groupOf({ people, buyers, revenue }: GroupFigures): HoldoutGroup {
  return {
    ...{ people, buyers },
    revenue: revenue.map((money) => ({
      ...money,
      perPersonMinor: people === 0 ? 0 : money.amountMinor / people,
    })),
  };
}
