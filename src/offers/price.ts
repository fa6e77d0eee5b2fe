import { applyDiscountBps, type Money } from '../values/money.js';

/** What a step of a sequence promised one subscriber; `expiresAt` is null for a promise without an end. */
export interface OfferGrant {
  readonly expiresAt: Date | null;
}

export interface OfferPriceQuestion {
  readonly full: Money;
  readonly discountBps: number;
  readonly personalDeadline: boolean;
  /** null: nobody granted this visitor anything, or we do not know who it is. */
  readonly grant: OfferGrant | null;
  readonly now: Date;
}

export interface OfferPrice {
  readonly price: Money;
  readonly discounted: boolean;
  /** The visitor had a better price, and its deadline has passed. */
  readonly expired: boolean;
}

/**
 * What one visitor pays for an offer now. Without a personal deadline the discount is everybody's; with one it belongs
 * to subscribers who were granted it, up to but not including `expiresAt`: a deadline that gives way is none.
 */
export function offerPrice({
  full,
  discountBps,
  personalDeadline,
  grant,
  now,
}: OfferPriceQuestion): OfferPrice {
  const ended = personalDeadline && grant !== null && grant.expiresAt !== null && now >= grant.expiresAt;
  const entitled = !personalDeadline || (grant !== null && !ended);
  const price = entitled
    ? { amountMinor: applyDiscountBps(full.amountMinor, discountBps), currency: full.currency }
    : full;
  return { price, discounted: entitled && discountBps > 0, expired: ended && discountBps > 0 };
}
