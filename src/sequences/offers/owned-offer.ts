import type { EmailNode } from '../steps/definition.js';
import { offersOf, type PreparedSequence } from '../steps/prepared.js';

/**
 * Whether the step passes over who owns the product. The mails at and behind a step that waits for the end of its
 * membership ask to renew it.
 */
export function passesOverOwners(
  { key, toOwners }: EmailNode,
  product: string,
  { renewals }: Pick<PreparedSequence, 'renewals'>,
): boolean {
  if (toOwners !== undefined) return toOwners === 'skip';
  return renewals.get(product)?.has(key) !== true;
}

/**
 * What the person owns of what the step offers and is passed over for. Of a step with a test, what any arm offers: who is
 * left out by what they own must not be left out of one arm alone.
 */
export function ownedOf(
  node: EmailNode,
  sequence: PreparedSequence,
  owned: (offer: string) => string | null,
): string | undefined {
  return (
    offersOf(node)
      .map((offer) => owned(offer))
      .find((product) => product !== null && passesOverOwners(node, product, sequence)) ?? undefined
  );
}
