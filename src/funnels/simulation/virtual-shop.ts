import { offerPrice } from '../../offers/price.js';
import { checkoutTotal } from '../../orders/checkout.js';
import { boughtTag } from '../../sequences/condition.js';
import { grantMembership, takeBackMemberships } from './virtual-memberships.js';
import { happened, lookAgain } from './virtual-reactions.js';
import type { VirtualMail } from './virtual-record.js';
import type { VirtualRun } from './virtual-run.js';
import type { VirtualOffer } from './virtual-sequences.js';

/**
 * The person pays what the checkout asks of them at `now`: they come by a link in a mail of theirs when they have had
 * one, so a price that was promised to them counts. Returns the id of the order.
 */
export function buy(
  run: VirtualRun,
  offer: VirtualOffer,
  now: Date,
  { withBump }: { withBump: boolean },
): string {
  const { record } = run;
  const isKnown = record.mails.some(({ state }) => state === 'sent');
  const grants = isKnown ? record.grants.filter((grant) => grant.offer === offer.slug) : [];
  const { price, discounted } = offerPrice({
    ...{
      full: offer.product.price,
      discountBps: offer.discountBps,
      personalDeadline: offer.personalDeadline,
    },
    grant: grants.toSorted((a, b) => b.at.getTime() - a.at.getTime())[0] ?? null,
    now,
  });
  const bump = withBump ? offer.bump : null;
  const sold = [offer.product, ...(bump === null ? [] : [bump])];
  const products = sold.map(({ key }) => key);
  const id = String(record.orders.length + 1);
  const total = checkoutTotal(price, bump?.price ?? null);
  record.orders.push({ id, products, total, refunded: false });
  run.tell(now, { what: 'bought', offer: offer.slug, products, total, discounted });
  for (const { key: product, membership: term } of sold)
    if (term !== null) grantMembership(run, { product, term, orderId: id }, now);
  for (const product of products) {
    record.tags.add(boughtTag(product));
    happened(run, { kind: 'purchased', product }, now);
  }
  record.mails.push(transactional('receipt', now));
  return id;
}

/** As `OrdersService.refund`: what was bought twice stays bought. */
export function refund(
  run: VirtualRun,
  { offer, orderId }: { offer: string; orderId: string },
  now: Date,
): void {
  const { record } = run;
  const order = record.orders.find(({ id }) => id === orderId);
  if (order === undefined || order.refunded) return;
  order.refunded = true;
  run.tell(now, { what: 'refunded', offer, products: order.products, total: order.total });
  takeBackMemberships(run, orderId, now);
  const kept = new Set(record.orders.filter((one) => !one.refunded).flatMap(({ products }) => products));
  for (const product of order.products) if (!kept.has(product)) record.tags.delete(boughtTag(product));
  lookAgain(run, now);
}

/** Due at once. */
export function transactional(kind: 'confirmation' | 'receipt', now: Date): VirtualMail {
  return {
    ...{ kind, enrollmentId: null, sequence: null, step: null, template: null },
    ...{ priority: 0, dueAt: now, sentAt: null, expiresAt: null, hours: null },
    ...{ state: 'ready', opened: false, clicked: false },
  };
}
