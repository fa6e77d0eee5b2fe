import type { Offer, OfferSender } from './offer.js';

/** The query that carries a mail's token from page to page; empty for a visitor we do not know. */
export function tokenQuery(token: string | undefined): string {
  return token === undefined || token === '' ? '' : `?m=${encodeURIComponent(token)}`;
}

/** Who stands at the foot of the page, as the law of many countries asks of a shop. */
export function footerOf(sender: OfferSender): { senderName: string; postalAddress: string } {
  return { senderName: sender.name, postalAddress: sender.postalAddress };
}

/** For an old link: whose offer it was, and that it is over. */
export function endedView({ content, sender }: Offer): Record<string, unknown> {
  const message = `“${content.title}” is not on sale any more. What was bought stays yours: the link in your receipt leads to it.`;
  return { heading: 'This offer has ended', message, footer: footerOf(sender) };
}
