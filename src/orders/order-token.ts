import { decodeIds, encodeIds, signExpiring, verifyExpiring } from '../values/signed-token.js';
import { HOUR_MS } from '../values/time-units.js';

/**
 * `order` opens the payment page, `order-page` the page with the downloads, `upsell` (with the id of an upsell) an offer
 * after an order: none stands in for another.
 */
type OrderTokenPurpose = 'order' | 'order-page' | 'upsell';

/** A price that was agreed at the checkout holds this long. */
const CHECKOUT_MS = 24 * HOUR_MS;
/** The link in the receipt, under which fresh downloads are handed out. */
const ORDER_PAGE_MS = 30 * 24 * HOUR_MS;
/** What is offered after an order is for who has just bought. */
export const UPSELL_MS = HOUR_MS;
/** Each download link on that page and in the receipt. */
export const DOWNLOAD_MS = 7 * 24 * HOUR_MS;

const LIFE_MS: Readonly<Record<OrderTokenPurpose, number>> = {
  order: CHECKOUT_MS,
  'order-page': ORDER_PAGE_MS,
  upsell: UPSELL_MS,
};

/** All count from when the order was made or paid, so the same order has the same address however often it is asked. */
export function orderToken(
  secret: Buffer,
  purpose: OrderTokenPurpose,
  order: { id: string; from: Date },
): string {
  const expiresAt = new Date(order.from.getTime() + LIFE_MS[purpose]);
  return signExpiring(secret, purpose, encodeIds([order.id]), expiresAt);
}

/** The order's id; `'expired'` for a genuine link past its end; null for one we did not write. */
export function readOrderToken(
  secret: Buffer,
  purpose: OrderTokenPurpose,
  read: { token: string; now: Date },
): string | null {
  const content = verifyExpiring(secret, purpose, read.token, read.now);
  if (content === null || content === 'expired') return content;
  return decodeIds(content.payload, 1)?.[0] ?? null;
}
