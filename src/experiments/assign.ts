import { createHash } from 'node:crypto';
import { HOLDOUT } from '../segments/held-out.js';
import type { Shares, TestPlan } from './test-plan.js';

const FRACTION_BYTES = 6;
const FRACTIONS = 2 ** (8 * FRACTION_BYTES);

/**
 * The arm of a person, or `HOLDOUT`. The same test, shares and person give the same answer in every process; `test` names
 * the place (a step, a broadcast) and stays the same through its edits, so that people keep their arm where they can.
 * Who is held out does not depend on the shares.
 */
export function assign(
  { test, arms, holdoutBps }: { test: string } & Pick<TestPlan, 'arms' | 'holdoutBps'>,
  shares: Shares,
  personId: string,
): string {
  const digest = createHash('sha256').update(test).update('\0').update(personId).digest();
  const heldOut = digest.readUIntBE(0, FRACTION_BYTES) / FRACTIONS;
  if (heldOut < holdoutBps / 10_000) return HOLDOUT;
  const place = digest.readUIntBE(FRACTION_BYTES, FRACTION_BYTES) / FRACTIONS;
  let end = 0;
  for (const [index, { key }] of arms.entries()) {
    end += shares[index] ?? 0;
    if (place < end) return key;
  }
  // The shares of 1/3 and its like sum to a little less than 1.
  const last = arms.findLastIndex((_, index) => (shares[index] ?? 0) > 0);
  const arm = arms[last] ?? arms[0];
  if (!arm) throw new Error(`the test ${test} has no arms`);
  return arm.key;
}
