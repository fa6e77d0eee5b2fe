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
  parentOrderId: z
    .string()
    .nullable()
    .meta({ description: 'The first order, after which this one was offered as an upsell or downsell.' }),
  subscriberId: z.string().nullable(),
  messageId: z.string().nullable().meta({ description: 'The mail that led to the order.' }),
  email: z.string(),
  name: z.string().nullable(),
  status: z.enum(ORDER_STATUSES),
  total: money,
  provider: z.string(),
  createdAt: z.string(),
  paidAt: z.string().nullable(),
  refundedAt: z.string().nullable(),
  refundReason: z.string().nullable(),
  lines: z.array(
    z.object({
      productKey: z.string(),
      name: z.string(),
      kind: z.enum(['main', 'bump']),
      fullAmount: money,
      amount: money,
      licenceKey: z.string().nullable(),
      licenceRevokedAt: z
        .string()
        .nullable()
        .meta({ description: 'Of a refunded order: the key is good for nothing since.' }),
    }),
  ),
});

export const orderList = pageOf(orderResponse);

const MAX_REASON_CHARS = 500;

export const refundBody = z
  .strictObject({
    reason: z
      .string()
      .trim()
      .min(1, 'say why, or leave it out')
      .max(MAX_REASON_CHARS, `at most ${MAX_REASON_CHARS} characters`)
      .meta({ description: 'For your books; the buyer does not see it.' })
      .optional(),
  })
  .default({});

export function orderJson(order: Order): z.infer<typeof orderResponse> {
  const { offerId: _offer, visitorId: _visitor, createdAt, paidAt, refundedAt, lines, ...fields } = order;
  return {
    ...fields,
    createdAt: createdAt.toISOString(),
    paidAt: paidAt?.toISOString() ?? null,
    refundedAt: refundedAt?.toISOString() ?? null,
    lines: lines.map(({ productKey, name, kind, fullAmount, amount, licenceKey, licenceRevokedAt }) => {
      return { productKey, name, kind, fullAmount, amount, licenceKey, licenceRevokedAt };
    }),
  };
}
