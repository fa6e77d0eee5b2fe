import { expect, it } from 'vitest';
import { restAfter } from '../../../src/bounces/rates-rest.js';

it('a long look at complaints is made a twentieth of the time: it was made every two minutes, however long it took', () => {
  expect(restAfter(999)).toBe(0);
  const tookMs = 12_400;
  expect(tookMs / (tookMs + restAfter(tookMs))).toBeCloseTo(1 / 20);
});
