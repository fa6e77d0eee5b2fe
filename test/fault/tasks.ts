import { randomInt } from 'node:crypto';
import type { Scenario } from './scenario.js';

export interface Task {
  scenario: Scenario;
  seed: number;
}

/** The short form is the same run every time. */
const SHORT_SEED = 1;
const MOST_SEED = 1_000_000;

/** `given`: seeds with commas between them, empty when the run has to choose: then the long form draws one. */
export function seedsOf(given: string, short: boolean): number[] {
  if (given === '') return [short ? SHORT_SEED : randomInt(1, MOST_SEED)];
  const seeds = given.split(',').map(Number);
  if (!seeds.every((seed) => Number.isSafeInteger(seed))) throw new Error(`${given} are no seeds`);
  return seeds;
}

/** One run of each scenario for each seed; where nothing is left to chance, for the first alone. */
export function tasksOf(scenarios: readonly Scenario[], seeds: readonly number[]): Task[] {
  return scenarios.flatMap((scenario) =>
    (scenario.sameForEverySeed === true ? seeds.slice(0, 1) : seeds).map((seed) => ({ scenario, seed })),
  );
}
