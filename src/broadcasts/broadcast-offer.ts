import { z } from 'zod';
import type { OfferSnapshot } from '../sequences/definition.js';
import type { Promised } from '../sequences/progress.js';
import { told } from '../sequences/told-offer.js';
import { applyDiscountBps, parsePercentBps, type Money } from '../values/money.js';
import { percent } from '../values/option-parts.js';

/** What a broadcast, or an arm of its split test, offers. It stays text, so that it reads back as it was written. */
export const broadcastOfferSchema = z
  .strictObject({
    key: z
      .string()
      .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, 'use the key of an offer, such as launch-kit')
      .max(60)
      .meta({
        description: 'The offer that the mail speaks of: it prints `offer.url`, `offer.price` and on.',
      }),
    discount: percent.optional().meta({
      description:
        'For the readers of this mail, in place of the discount of the offer, which it must exceed; until `until`.',
    }),
    until: z.iso.datetime({ offset: true }).optional().meta({
      description:
        'When the price ends for them, the same in the mail, on the page and at the checkout. No mail of the broadcast goes after it.',
    }),
  })
  .refine(({ discount, until }) => discount === undefined || until !== undefined, {
    path: ['until'],
    message: 'a discount for these readers alone ends at some time: say when',
  });

export type BroadcastOffer = z.output<typeof broadcastOfferSchema>;

/** An offer as it is sold now. */
export interface SoldOffer extends OfferSnapshot {
  productId: string;
  /** Its discount is for those alone to whom a mail has promised it. */
  isPersonal: boolean;
}

/** What one mail of a broadcast, or one arm, offers, as it stood when the broadcast began. */
export interface FrozenOffer {
  /** Of the arm; 0 without a test. */
  place: number;
  productId: string;
  until: string | null;
  snapshot: OfferSnapshot;
}

/** What is wrong with an offer, and below which of its options; null when nothing is. */
export function offerProblem(
  { key, discount, until }: BroadcastOffer,
  sold: SoldOffer | undefined,
): { field: keyof BroadcastOffer; message: string } | null {
  if (sold === undefined) return { field: 'key', message: `there is no offer "${key}"` };
  const own = discount === undefined ? null : parsePercentBps(discount);
  if (own !== null && own <= sold.discountBps)
    return {
      field: 'discount',
      message: `"${key}" is sold at ${sold.discountBps / 100}% off already; give more, or leave it out`,
    };
  if (own === null && until !== undefined && !(sold.isPersonal && sold.discountBps > 0))
    return {
      field: 'until',
      message: `the price of "${key}" is the same for everybody and at any time, so it cannot end for these readers; give a discount of their own, or leave it out`,
    };
  return null;
}

export function freeze(
  { discount, until }: BroadcastOffer,
  { productId, slug, title, fullPrice, ...sold }: SoldOffer,
  place: number,
): FrozenOffer {
  const discountBps = discount === undefined ? sold.discountBps : parsePercentBps(discount);
  const { amountMinor, currency } = fullPrice;
  const price: Money = { amountMinor: applyDiscountBps(amountMinor, discountBps), currency };
  return { place, productId, until: until ?? null, snapshot: { slug, title, price, fullPrice, discountBps } };
}

/**
 * What a mail gets to print. `promised`: what earlier mails have told its reader, which is never taken back. `offerPlace`
 * says by which promise the checkout goes.
 */
export function offerData(
  { place, until, snapshot: offer }: FrozenOffer,
  promised: Promised | null,
  now: Date,
): Record<string, unknown> {
  const own = until === null ? null : new Date(until);
  const earlier = promised?.until ?? null;
  const isEarlier = earlier !== null && earlier > now && (own === null || earlier > own);
  const expiresAt = isEarlier ? earlier : own;
  return {
    offer: told(offer, { promisedPrice: promised?.price ?? null, expiresAt, now }),
    offerPlace: place,
  };
}

/** When the first of these prices ends; null: none does. */
export function firstEnd(offers: readonly (BroadcastOffer | null | undefined)[]): Date | null {
  const ends = offers.flatMap((offer) => (offer?.until === undefined ? [] : [Date.parse(offer.until)]));
  return ends.length === 0 ? null : new Date(Math.min(...ends));
}
