import { logMean } from './evidence.js';
import type { Harm, TestPlan } from './test-plan.js';

/** The chance that an arm is stopped although it keeps to the limit, over its whole life. */
const FALSE_STOP = 0.02;
const RATIOS = [1.25, 1.5, 2, 3, 5, 10];

export interface Breach {
  arm: number;
  rail: 'unsubscribes' | 'complaints';
  rate: number;
  limit: number;
}

/** The arms that are shown to do more harm than the plan allows, each by the first rail it breaks. */
export function breaches({ guardRails }: Pick<TestPlan, 'guardRails'>, harms: readonly Harm[]): Breach[] {
  return harms.flatMap((harm) => {
    for (const rail of ['complaints', 'unsubscribes'] as const) {
      const limit = guardRails[rail];
      if (limit === null || !exceeds(harm.people, weighed(harm, rail), limit)) continue;
      return [{ arm: harm.arm, rail, rate: harm[rail] / harm.people, limit }];
    }
    return [];
  });
}

/**
 * Whoever has a domain has any number of mailboxes, may join with all of them, and signs their complaints: half of what
 * stops an arm has to come from others, as with a broadcast.
 */
function weighed({ complaints, ofOne = 0, unsubscribes }: Harm, rail: Breach['rail']): number {
  return rail === 'complaints' ? Math.min(complaints, 2 * (complaints - ofOne)) : unsubscribes;
}

/** For the owner, after the name of the arm. */
export function breachText({ rail, rate, limit }: Omit<Breach, 'arm'>): string {
  const percent = (value: number): string => `${(value * 100).toFixed(2)} %`;
  const did = rail === 'unsubscribes' ? 'left' : 'complained';
  return `was stopped: ${percent(rate)} of its readers ${did}, at most ${percent(limit)} are allowed.`;
}

/**
 * Whether a rate is shown to lie above `limit`, at any look: the stake of bets on rates above it. Who has done no harm
 * yet counts as one who does none, which can only make the evidence smaller.
 */
export function exceeds(people: number, events: number, limit: number): boolean {
  if (events === 0) return false;
  const calm = people - events;
  const stakes = RATIOS.map((ratio) => {
    const rate = Math.min(ratio * limit, (1 + limit) / 2);
    return events * Math.log(rate / limit) + calm * Math.log((1 - rate) / (1 - limit));
  });
  return logMean(stakes) >= -Math.log(FALSE_STOP);
}
