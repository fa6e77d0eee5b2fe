import { discountOf, type Money } from '../../values/money.js';
import type { OfferSnapshot } from '../steps/definition.js';

/** What the checkout will ask: today's price, or a lower one that was promised. */
export function said({ price }: OfferSnapshot, promised: Money | null): Money {
  const isLower = promised?.currency === price.currency && promised.amountMinor < price.amountMinor;
  return isLower ? promised : price;
}

/** What a mail says of an offer. Behind the end of what was promised the price is the full one. */
export function told(
  offer: OfferSnapshot,
  { promisedPrice, expiresAt, now }: { promisedPrice: Money | null; expiresAt: Date | null; now: Date },
): OfferSnapshot & { expiresAt?: string } {
  if (expiresAt !== null && expiresAt <= now) return { ...offer, price: offer.fullPrice, discountBps: 0 };
  const price = said(offer, promisedPrice);
  const discountBps = price === offer.price ? offer.discountBps : discountOf(price, offer.fullPrice);
  const more = expiresAt === null ? {} : { expiresAt: expiresAt.toISOString() };
  return { ...offer, price, discountBps, ...more };
}
