import { passesOverOwners, type EmailNode } from './definition.js';
import { offersOf } from './prepared.js';

/**
 * What the person owns of what the step offers and is passed over for. Of a step with a test, what any arm offers: who is
 * left out by what they own must not be left out of one arm alone.
 */
export function ownedOf(node: EmailNode, owned: (offer: string) => string | null): string | undefined {
  return (
    offersOf(node)
      .map((offer) => owned(offer))
      .find((product) => product !== null && passesOverOwners(node, product)) ?? undefined
  );
}
