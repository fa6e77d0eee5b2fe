import { expect, it } from 'vitest';
import { scenarios } from '../../fault/scenarios.js';
import { seedsOf, tasksOf } from '../../fault/tasks.js';

it('the long form is one run of each scenario, with a seed that is drawn', () => {
  const all = scenarios(false);
  const seeds = seedsOf('', false);
  expect(seeds).toHaveLength(1);
  expect(tasksOf(all, seeds).map(({ scenario }) => scenario)).toEqual(all);
  const drawn = Array.from({ length: 20 }, () => seedsOf('', false)[0]);
  expect(new Set(drawn).size).toBeGreaterThan(1);
});

it('the short form is the same run every time', () => {
  expect(seedsOf('', true)).toEqual([1]);
});

it('several seeds are asked for by name; what leaves nothing to chance runs with the first of them', () => {
  expect(seedsOf('13', false)).toEqual([13]);
  const seeds = seedsOf('1,2,3', false);
  const sure = scenarios(false).find(({ sameForEverySeed }) => sameForEverySeed === true);
  const other = scenarios(false).find(({ sameForEverySeed }) => sameForEverySeed !== true);
  const tasks = tasksOf(
    [sure, other].flatMap((scenario) => scenario ?? []),
    seeds,
  );
  expect(tasks.map(({ scenario, seed }) => [scenario, seed])).toEqual([
    [sure, 1],
    [other, 1],
    [other, 2],
    [other, 3],
  ]);
  expect(() => seedsOf('1,two', false)).toThrow('1,two are no seeds');
});
