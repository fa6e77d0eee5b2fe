import { offerPrice } from '../../offers/price.js';
import { checkoutTotal } from '../../orders/checkout.js';
import { boughtTag } from '../../sequences/condition.js';
import { happened } from './virtual-reactions.js';
import type { VirtualMail } from './virtual-record.js';
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
): void {
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
  const products = [offer.product.key, ...(bump === null ? [] : [bump.key])];
  const total = checkoutTotal(price, bump?.price ?? null);
  run.tell(now, { what: 'bought', offer: offer.slug, products, total, discounted });
  for (const product of products) {
    record.tags.add(boughtTag(product));
    happened(run, { kind: 'purchased', product }, now);
  }
  record.mails.push(transactional('receipt', now));
}

/** Due at once. */
export function transactional(kind: 'confirmation' | 'receipt', now: Date): VirtualMail {
  return {
    ...{ kind, enrollmentId: null, sequence: null, step: null, template: null },
    ...{ priority: 0, dueAt: now, sentAt: null, expiresAt: null, hours: null },
    ...{ state: 'ready', opened: false, clicked: false },
  };
}
