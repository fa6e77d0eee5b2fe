import { creditedTouch } from '../../affiliates/touch.js';
import { commissionsOf } from '../../affiliates/commission.js';
import { offerPrice, type OfferPrice } from '../../offers/price.js';
import { checkoutTotal } from '../../orders/checkout.js';
import { boughtTag } from '../../sequences/steps/condition.js';
import { addDuration, durationText } from '../../values/duration.js';
import type { Money } from '../../values/money.js';
import { grantMembership } from './virtual-memberships.js';
import { promisedTo } from './virtual-promises.js';
import { happened } from './virtual-reactions.js';
import type { VirtualMail, VirtualOrder } from './virtual-record.js';
import type { VirtualRun } from './virtual-run.js';
import type { VirtualOffer } from './virtual-sequences.js';

/**
 * The person pays what the checkout asks of them at `now`: they come by a link in a mail of theirs when they have had
 * one, so a price that was promised to them counts.
 */
export function buy(
  run: VirtualRun,
  offer: VirtualOffer,
  now: Date,
  { withBump }: { withBump: boolean },
): VirtualOrder {
  const byMail = run.record.mails.some(({ state }) => state === 'sent');
  return pay(run, { offer, byMail, bump: withBump ? offer.bump : null }, now);
}

/** As `OffersService.terms`. */
export function priceOf(run: VirtualRun, offer: VirtualOffer, byMail: boolean, now: Date): OfferPrice {
  const { slug, product, discountBps, personalDeadline } = offer;
  return offerPrice({
    ...{ full: product.price, discountBps, personalDeadline },
    grant: byMail ? promisedTo(run, slug, now) : null,
    now,
  });
}

/** As `OrdersService.markPaid`. */
export function pay(
  run: VirtualRun,
  sale: {
    offer: VirtualOffer;
    byMail: boolean;
    bump?: VirtualOffer['bump'];
    upsell?: 'upsell' | 'downsell';
  },
  now: Date,
): VirtualOrder {
  const { offer, byMail, bump = null, upsell } = sale;
  const { record } = run;
  const { price, discountBps } = priceOf(run, offer, byMail, now);
  const sold = [{ ...offer.product, price }, ...(bump === null ? [] : [bump])];
  const order: VirtualOrder = {
    id: String(record.orders.length + 1),
    offer: offer.slug,
    lines: sold.map(({ key: id, price: { amountMinor } }) => ({
      ...{ id, amountMinor, refundedMinor: 0, isTakenBack: false },
    })),
    total: checkoutTotal(price, bump?.price ?? null),
    ...{ paidAt: now, refunded: false, byMail, commission: null, upsells: [] },
  };
  const { total } = order;
  const products = sold.map(({ key }) => key);
  record.orders.push(order);
  run.tell(now, {
    ...{ what: 'bought', offer: offer.slug, products, total, discounted: discountBps > 0 },
    ...(upsell === undefined ? {} : { upsell }),
  });
  for (const { key: product, membership: term } of sold)
    if (term !== null) grantMembership(run, { product, term, orderId: order.id }, now);
  order.commission = earn(run, offer, { sold, now });
  for (const product of products) {
    record.tags.add(boughtTag(product));
    happened(run, { kind: 'purchased', product }, now, { entryKey: `order:${order.id}` });
  }
  record.mails.push(transactional('receipt', offer.funnel, now));
  return order;
}

/**
 * As `CommissionsService.settle`, for an affiliate who is active and buys nothing here themselves. The second tier is left
 * out: no file says who recruited whom.
 */
function earn(
  { record, funnels, tell }: VirtualRun,
  { funnel }: VirtualOffer,
  { sold, now }: { sold: readonly { key: string; price: Money }[]; now: Date },
): VirtualOrder['commission'] {
  const { affiliate, touchedAt } = record;
  const terms = funnels.terms.get(funnel);
  if (affiliate === null || touchedAt === null || terms === undefined) return null;
  const touch = { affiliateId: affiliate, at: touchedAt };
  const { cookie, attribution } = terms;
  if (creditedTouch([touch], { at: now, window: durationText(cookie), attribution }) === null) return null;
  const earned = commissionsOf({
    lines: sold.map(({ key: id, price }) => ({ id, netMinor: price.amountMinor })),
    rates: terms,
    affiliate: { affiliateId: affiliate, isActive: true, isBuyer: false },
    recruiter: null,
  });
  const amountMinor = earned.reduce((sum, line) => sum + line.amountMinor, 0);
  const currency = sold[0]?.price.currency;
  if (amountMinor === 0 || currency === undefined) return null;
  const dueAt = addDuration(now, terms.hold, 'UTC').toISOString();
  tell(now, { what: 'commission', affiliate, amount: { amountMinor, currency }, dueAt });
  const lines = earned.map((line) => ({ id: line.lineId, earnedMinor: line.amountMinor, lostMinor: 0 }));
  return { affiliate, currency, lines };
}

/** Due at once. `topic`: the funnel that it is about. */
export function transactional(kind: 'confirmation' | 'receipt', topic: string, now: Date): VirtualMail {
  return {
    ...{ kind, enrollmentId: null, sequence: null, step: null, template: null },
    ...{ priority: 0, dueAt: now, sentAt: null, expiresAt: null, hours: null },
    ...{ state: 'ready', heldFor: null, opened: false, clicked: false },
    ...{ hits: [], topic, arm: null },
  };
}
