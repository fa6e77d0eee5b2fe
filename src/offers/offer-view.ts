import type { OfferSender } from './offer.js';

/** The query that carries a mail's token from page to page; empty for a visitor we do not know. */
export function tokenQuery(token: string | undefined): string {
  return token === undefined || token === '' ? '' : `?m=${encodeURIComponent(token)}`;
}

/** Who stands at the foot of the page, as the law of many countries asks of a shop. */
export function footerOf(sender: OfferSender): { senderName: string; postalAddress: string } {
  return { senderName: sender.name, postalAddress: sender.postalAddress };
}
