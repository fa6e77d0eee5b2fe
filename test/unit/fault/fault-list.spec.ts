import { expect, it } from 'vitest';
import { scenarios } from '../../fault/scenarios.js';
import { SHOWN_BY_TESTS } from '../../fault/shown-by-tests.js';

/** Numbers in `covers`, which may name a range: `F12-F22`. */
function faultsOf(covers: string): number[] {
  return covers.split(' ').flatMap((one) => {
    const [first = 0, last = first] = one.split('-').map((fault) => Number(fault.slice(1)));
    return Array.from({ length: last - first + 1 }, (_, at) => first + at);
  });
}

it('each fault of the list, F1 to F40, has a scenario of the long run, or a test that the table names', () => {
  const shown = [...scenarios(false).filter(({ covers }) => !covers.includes('-')), ...SHOWN_BY_TESTS];
  const faults = new Set(shown.flatMap(({ covers }) => faultsOf(covers)));
  const missing = Array.from({ length: 40 }, (_, at) => at + 1).filter((fault) => !faults.has(fault));
  expect(missing).toEqual([]);
});
