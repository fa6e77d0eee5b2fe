import type { Money } from '../values/money.js';
import type { OrderStatus } from './order-status.js';

export interface OrderLine {
  id: string;
  productId: string;
  productKey: string;
  name: string;
  kind: 'main' | 'bump';
  fullAmount: Money;
  amount: Money;
  /** What has gone back of the amount. */
  refunded: Money;
  /** Since when the product has gone back too, and nothing of it is the buyer's; not by a refund of some of its price. ISO 8601. */
  takenBackAt: string | null;
  fileIds: string[];
  /** Whether this product comes with a licence key. */
  licensed: boolean;
  /** How long the product made its buyer a member when the order was placed, such as `12 months` or `for good`; null: it did not. */
  membership: string | null;
  /** Issued when the order is paid. */
  licenceKey: string | null;
  /** Since the product was taken back the key is good for nothing. ISO 8601. */
  licenceRevokedAt: string | null;
}

/** Money that has gone back. The amounts of its lines sum to its own. */
export interface OrderRefund {
  id: string;
  amount: Money;
  reason: string | null;
  /** ISO 8601. */
  at: string;
  lines: { lineId: string; amount: Money }[];
}

export interface Order {
  id: string;
  number: string;
  funnelKey: string;
  offerId: string;
  offerSlug: string;
  /** The first order, after which this one was offered; null for a first one. */
  parentOrderId: string | null;
  /** The mail that led to the order, and until it is paid that mail's recipient; then the buyer. */
  messageId: string | null;
  subscriberId: string | null;
  /** 16 bytes; the browser that placed the order. */
  visitorId: Buffer | null;
  email: string;
  name: string | null;
  status: OrderStatus;
  total: Money;
  /** What has gone back in all; the whole total of one whose status is `refunded`. */
  refunded: Money;
  provider: string;
  createdAt: Date;
  paidAt: Date | null;
  refundedAt: Date | null;
  refundReason: string | null;
  lines: OrderLine[];
  /** Oldest first. */
  refunds: OrderRefund[];
}
