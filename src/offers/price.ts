import { applyDiscountBps, type Money } from '../values/money.js';

/** What a step of a sequence promised one subscriber; `expiresAt` is null for a promise without an end. */
export interface OfferGrant {
  readonly expiresAt: Date | null;
  /** As the mail said it; null for a promise of before prices were kept. */
  readonly price: Money | null;
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
  /** Of the full price; 0 where it is asked. */
  readonly discountBps: number;
  /** The visitor had a better price, and its deadline has passed. */
  readonly expired: boolean;
}

/**
 * What one visitor pays for an offer now. Without a personal deadline the discount is everybody's; with one it belongs
 * to subscribers who were granted it, up to but not including `expiresAt`: a deadline that gives way is none. Whom a mail
 * promised a lower price than today's pays what it said.
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
  if (!entitled) return { price: full, discountBps: 0, expired: ended && discountBps > 0 };
  const today = applyDiscountBps(full.amountMinor, discountBps);
  const said = personalDeadline && grant?.price?.currency === full.currency ? grant.price.amountMinor : today;
  if (said >= today) return { price: { ...full, amountMinor: today }, discountBps, expired: false };
  const ofFull = Math.round((1 - said / full.amountMinor) * 10_000);
  return { price: { ...full, amountMinor: said }, discountBps: ofFull, expired: false };
}
