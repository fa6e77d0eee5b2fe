import { BUYS, BUYS_WITH_BUMP, CLOSES, DECLINES, LEAVES, STAYS, TAKES, type Parting } from './choices.js';

/** How often people were seen to take each option, by the name of the parting. */
export type Measured = ReadonlyMap<string, ReadonlyMap<string, number>>;

/**
 * What is taken for usual before anything was measured, worth as much as two people: one in a hundred leaves after a
 * mail, two in a hundred buy after an offer, one in twenty buyers takes an upsell. Any way out of a step is as likely as the others.
 */
const USUAL: Readonly<Record<string, number>> = {
  [STAYS]: 1.94,
  [LEAVES]: 0.02,
  [BUYS]: 0.03,
  [BUYS_WITH_BUMP]: 0.01,
  [CLOSES]: 0.95,
  [DECLINES]: 0.95,
  [TAKES]: 0.1,
};
const ANY_WAY = 0.5;

/** The parameters of the Dirichlet distribution over the options of a parting: what was measured beside what is usual. */
export function belief({ name, options }: Parting, measured: Measured): number[] {
  const seen = measured.get(name);
  return options.map((option) => (seen?.get(option) ?? 0) + (USUAL[option] ?? ANY_WAY));
}

/** The expected share of each option. */
export function expectedShares(alphas: readonly number[]): number[] {
  const sum = alphas.reduce((total, alpha) => total + alpha, 0);
  return alphas.map((alpha) => alpha / sum);
}
