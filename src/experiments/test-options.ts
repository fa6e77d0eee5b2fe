import { z } from 'zod';
import { parsePercentBps } from '../values/money.js';
import { percent, strict } from '../values/option-parts.js';

/** Options that every split test has, of a step or of a broadcast, as people write them. */
export interface TestOptions {
  alpha?: number | undefined;
  holdout?: string | undefined;
  guardRails?: { unsubscribes?: string | undefined; complaints?: string | undefined } | undefined;
}

export const DEFAULT_ALPHA = 0.05;

export const percentBetween = (least: number, most: number) =>
  percent.refine((text) => {
    const bps = readableBps(text);
    return bps === null || (bps >= least * 100 && bps <= most * 100);
  }, `use a percentage from ${least}% to ${most}%`);

/** Null: not readable, which the option's own schema says. */
export function readableBps(text: string): number | null {
  try {
    return parsePercentBps(text);
  } catch {
    return null;
  }
}

const ALPHA = 'use a number from 0.001 to 0.2: the chance of a false winner';

export const testOptions = {
  alpha: z.number({ error: ALPHA }).min(0.001, ALPHA).max(0.2, ALPHA).optional(),
  holdout: percentBetween(1, 50).optional(),
  guardRails: strict({
    unsubscribes: percentBetween(0.01, 50).optional(),
    complaints: percentBetween(0.01, 50).optional(),
  }).optional(),
};

/** 0.02 for `2%`. */
export function rateOf(text: string): number {
  return parsePercentBps(text) / 10_000;
}

/** What nobody has asked for is no limit. */
export function railsOf({ guardRails }: TestOptions): {
  unsubscribes: number | null;
  complaints: number | null;
} {
  const { unsubscribes, complaints } = guardRails ?? {};
  return {
    unsubscribes: unsubscribes === undefined ? null : rateOf(unsubscribes),
    complaints: complaints === undefined ? null : rateOf(complaints),
  };
}
