import { applyDiscountBps, discountOf, type Money } from '../values/money.js';

/** What mails promised one subscriber: `until` is null for a promise without an end, `price` what they said until then. */
interface OfferGrant {
  readonly until: Date | null;
  /** Null where none holds that was said for what the offer sells. */
  readonly price: Money | null;
  /** When that price ends; left out: with the promise. */
  readonly priceUntil?: Date | null;
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
  /** When it ends or has ended; null without an end. */
  readonly until: Date | null;
}

/**
 * What one visitor pays for an offer now. Without a personal deadline the discount is everybody's; with one it belongs
 * to subscribers who were granted it, up to but not including the end: a deadline that gives way is none. Whom a mail
 * promised a lower price until a time pays that, whatever has become of price, discount or deadline since.
 */
export function offerPrice({
  full,
  discountBps,
  personalDeadline,
  grant,
  now,
}: OfferPriceQuestion): OfferPrice {
  const until = grant?.until ?? null;
  const ended = personalDeadline && until !== null && now >= until;
  const entitled = !personalDeadline || (grant !== null && !ended);
  const today = entitled ? applyDiscountBps(full.amountMinor, discountBps) : full.amountMinor;
  const holds = until !== null && now < until && grant?.price?.currency === full.currency;
  const said = holds ? grant.price.amountMinor : today;
  if (said < today) {
    const price = { ...full, amountMinor: said };
    return { price, discountBps: discountOf(price, full), expired: false, until: grant?.priceUntil ?? until };
  }
  const price = { ...full, amountMinor: today };
  return {
    price,
    discountBps: entitled ? discountBps : 0,
    expired: ended && discountBps > 0,
    until: personalDeadline ? until : null,
  };
}
