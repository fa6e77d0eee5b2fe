import { addDuration } from '../../values/duration.js';
import type { Money } from '../../values/money.js';
import type { EmailNode } from '../steps/definition.js';

/**
 * Until when the price holds: what was promised is never taken back, so the later of what the mail says itself and what
 * an earlier one said. Past where an earlier promise is over and the mail gives no new one.
 */
export function offerExpiry(
  promised: Date | null,
  { offer, deadline }: EmailNode,
  { now, timeZone }: { now: Date; timeZone: string },
): Date | null {
  if (offer === null) return null;
  if (deadline === null) return promised;
  const own = addDuration(now, deadline, timeZone);
  return promised !== null && promised > own ? promised : own;
}

/** By mails of before. */
interface Before {
  until: Date | null;
  price: Money | null;
}

/** What was promised about the offer of a mail: by those of this very turn, else by earlier ones, whom `facts` knows. */
export function promisedBefore(
  sent: readonly { node: EmailNode; offerExpiresAt: Date | null; promisedPrice: Money | null }[],
  { offer }: EmailNode,
  facts: { promise(this: void, offer: string): Before | null },
): Before | null {
  if (offer === null) return null;
  const before = sent.findLast(({ node }) => node.offer?.slug === offer.slug);
  return before === undefined
    ? facts.promise(offer.slug)
    : { until: before.offerExpiresAt, price: before.promisedPrice };
}
