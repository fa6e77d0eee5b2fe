import { DomainError } from '../values/domain-error.js';
import type { Broadcast } from './broadcast.js';
import {
  freeze,
  offerProblem,
  type BroadcastOffer,
  type FrozenOffer,
  type SoldOffer,
} from './broadcast-offer.js';
import { wordsOf, type Split } from './split.js';

/** What the mail, or each arm, offers as it is sold. Throws `BROADCAST_OFFER_INVALID` for what cannot be offered so. */
export function offersOf(
  draft: Parameters<typeof wordsOf>[0],
  sold: ReadonlyMap<string, SoldOffer>,
): FrozenOffer[] {
  const { split = null } = draft;
  return wordsOf(draft).flatMap(({ offer }, place): FrozenOffer[] => {
    if (offer === undefined) return [];
    const isOwn = split?.arms[place]?.offer !== undefined;
    const field = isOwn ? `split.arms.${place}.offer` : 'offer';
    const now = sold.get(offer.key);
    const problem = offerProblem(offer, now);
    if (problem !== null) throw invalid(`${field}.${problem.field}`, problem.message);
    if (now === undefined) return [];
    checkCurrency(split, now);
    return [freeze(offer, now, place)];
  });
}

/** What is offered once more: as the arm told it that went to the rest. */
export function offerAgain(
  first: Parameters<typeof wordsOf>[0] & Pick<Broadcast, 'decision'>,
): BroadcastOffer | null {
  return wordsOf(first)[first.decision?.arm ?? 0]?.offer ?? null;
}

function checkCurrency(split: Split | null, { slug, fullPrice }: SoldOffer): void {
  const cap = split?.revenueCap;
  if (cap === undefined || cap.currency === fullPrice.currency) return;
  const message = `"${slug}" is sold in ${fullPrice.currency}, so its orders would not count; use that currency`;
  throw invalid('split.revenueCap.currency', message);
}

function invalid(field: string, message: string): DomainError {
  return new DomainError('BROADCAST_OFFER_INVALID', `${field}: ${message}`, { field });
}
