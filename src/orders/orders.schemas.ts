import { z } from 'zod';
import { pageOf } from '../infra/http/page.js';
import { ORDER_STATUSES } from './order-status.js';
import type { Order } from './order.js';

const money = z.object({ amountMinor: z.number().int(), currency: z.string() });

export const orderResponse = z.object({
  id: z.string(),
  number: z.string(),
  funnelKey: z.string(),
  offerSlug: z.string(),
  subscriberId: z.string().nullable(),
  messageId: z.string().nullable().meta({ description: 'The mail that led to the order.' }),
  email: z.string(),
  name: z.string().nullable(),
  status: z.enum(ORDER_STATUSES),
  total: money,
  provider: z.string(),
  createdAt: z.string(),
  paidAt: z.string().nullable(),
  lines: z.array(
    z.object({
      productKey: z.string(),
      name: z.string(),
      kind: z.enum(['main', 'bump']),
      fullAmount: money,
      amount: money,
      licenceKey: z.string().nullable(),
    }),
  ),
});

export const orderList = pageOf(orderResponse);

export function orderJson(order: Order): z.infer<typeof orderResponse> {
  const { offerId: _offer, visitorId: _visitor, createdAt, paidAt, lines, ...fields } = order;
  return {
    ...fields,
    createdAt: createdAt.toISOString(),
    paidAt: paidAt?.toISOString() ?? null,
    lines: lines.map(({ productKey, name, kind, fullAmount, amount, licenceKey }) => {
      return { productKey, name, kind, fullAmount, amount, licenceKey };
    }),
  };
}
