import { z } from 'zod';
import type { OfferSnapshot } from '../sequences/steps/definition.js';
import type { Promised } from '../sequences/steps/progress.js';
import { told } from '../sequences/offers/told-offer.js';
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
        'When the price ends for them, the same in the mail, on the page and at the checkout. No mail of the broadcast goes after it. Needed with a discount, also with that of an offer whose deadline is personal.',
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
  const isPersonal = sold.isPersonal && sold.discountBps > 0;
  // The checkout would ask the full price of those whose earlier promise is over, whatever this mail said.
  if (isPersonal && until === undefined)
    return {
      field: 'until',
      message: `the discount of "${key}" is for those alone whom a mail gives it, until a time: say when it ends for these readers`,
    };
  if (own === null && until !== undefined && !isPersonal)
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

/** What earlier mails have told the reader of one about its offer, and when it goes. */
export interface Before {
  promised: Promised | null;
  at: Date;
}

/**
 * The offer as a mail tells it to one reader: no dearer, and for no shorter, than mails before it, whose promises are never
 * taken back. A lower price is told with an end alone, so that there is one until which the checkout keeps it.
 */
export function offerTo(frozen: FrozenOffer, { promised, at }: Before): FrozenOffer {
  const { until, snapshot } = frozen;
  const own = until === null ? null : new Date(until);
  const earlier = promised?.until ?? null;
  const isEarlier = earlier !== null && earlier > at && (own === null || earlier > own);
  const expiresAt = isEarlier ? earlier : own;
  const promisedPrice = expiresAt === null ? null : (promised?.price ?? null);
  const { expiresAt: end, ...offer } = told(snapshot, { promisedPrice, expiresAt, now: at });
  return { ...frozen, until: end ?? null, snapshot: offer };
}

/**
 * What a mail gets to print. The checkout goes by it, too: `offerPlace` says whose promise it is (see `promisesSql`). An end
 * that is not the broadcast's own does not keep the mail from going behind it: from then on it prints `offerAfter`.
 */
export function offerData(frozen: FrozenOffer, before: Before): Record<string, unknown> {
  const { place, until, snapshot } = offerTo(frozen, before);
  const end = until === null ? {} : { expiresAt: until };
  const after = until === null || frozen.until !== null ? {} : { offerAfter: frozen.snapshot };
  return { offer: { ...snapshot, ...end }, offerPlace: place, ...after };
}

/** The latest end that mails with the words of one arm tell. */
export interface EndTold {
  place: number;
  until: Date;
}

/** Of what mails print, as `offerData` made it, the ends beyond those of the offers themselves. */
export function endsTold(
  offers: readonly FrozenOffer[],
  printed: readonly (Record<string, unknown> | null)[],
): EndTold[] {
  return offers.flatMap(({ place, until }) => {
    const own = until === null ? 0 : Date.parse(until);
    const latest = printed.reduce((found, data) => Math.max(found, endIn(data, place)), own);
    return latest > own ? [{ place, until: new Date(latest) }] : [];
  });
}

function endIn(data: Record<string, unknown> | null, place: number): number {
  if (data?.['offerPlace'] !== place) return 0;
  const { expiresAt } = data['offer'] as { expiresAt?: string };
  return expiresAt === undefined ? 0 : Date.parse(expiresAt);
}

/** When the first of these prices ends; null: none does. */
export function firstEnd(offers: readonly (BroadcastOffer | null | undefined)[]): Date | null {
  const ends = offers.flatMap((offer) => (offer?.until === undefined ? [] : [Date.parse(offer.until)]));
  return ends.length === 0 ? null : new Date(Math.min(...ends));
}
