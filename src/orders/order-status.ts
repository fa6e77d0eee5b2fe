export const ORDER_STATUSES = ['pending', 'paid', 'declined', 'refunded'] as const;
export type OrderStatus = (typeof ORDER_STATUSES)[number];

/**
 * A declined payment may be tried again with another card and succeed; a paid order is only ever refunded. Money that
 * arrived must find its order, so nothing leads from `paid` back to `declined`.
 */
const NEXT: Record<OrderStatus, readonly OrderStatus[]> = {
  pending: ['paid', 'declined'],
  declined: ['paid'],
  paid: ['refunded'],
  refunded: [],
};

export function canBecome(from: OrderStatus, to: OrderStatus): boolean {
  return NEXT[from].includes(to);
}
