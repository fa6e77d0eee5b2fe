import type { SoldOffer } from '../../broadcasts/broadcast-offer.js';
import type { OfferSnapshot } from '../../sequences/steps/definition.js';
import { applyDiscountBps, parseMoney, parsePercentBps } from '../../values/money.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { stepMails } from '../schemas/step.schemas.js';

/** A deadline on any step makes the discount personal: only who was sent the offer, and in time, pays less. */
export function hasPersonalDeadline({ sequence }: FunnelDefinition, offerKey: string): boolean {
  return stepMails(sequence.steps).some(({ step }) => step.offer === offerKey && step.deadline !== undefined);
}

/** The offer as its mails promise it; undefined for one that is not there. */
export function offerSnapshot(
  { offers, products }: FunnelDefinition,
  key: string,
): OfferSnapshot | undefined {
  const offer = offers.find((candidate) => candidate.key === key);
  const product = products.find((candidate) => candidate.key === offer?.product);
  if (!offer || !product) return undefined;
  const full = parseMoney(product.price);
  const discountBps = offer.discount === undefined ? 0 : parsePercentBps(offer.discount);
  const price = { ...full, amountMinor: applyDiscountBps(full.amountMinor, discountBps) };
  return {
    slug: key,
    title: product.name,
    price,
    fullPrice: full,
    discountBps,
  };
}

/** By slug, what the checkout of these funnels sells, as a database would hold it. */
export function soldIn(definitions: readonly FunnelDefinition[]): Map<string, SoldOffer> {
  return new Map(
    definitions.flatMap((definition) =>
      definition.offers.flatMap(({ key, product }): [string, SoldOffer][] => {
        const snapshot = offerSnapshot(definition, key);
        if (snapshot === undefined) return [];
        const isPersonal = hasPersonalDeadline(definition, key);
        return [[key, { ...snapshot, productId: product, isPersonal }]];
      }),
    ),
  );
}
