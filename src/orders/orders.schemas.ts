import { z } from 'zod';
import { idSchema, pageOf, pageQuery } from '../infra/http/page.js';
import { isCurrency } from '../values/money.js';
import { ORDER_STATUSES } from './order-status.js';
import type { Order } from './order.js';
import { money } from '../infra/http/money.schemas.js';

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
  status: z.enum(ORDER_STATUSES).meta({
    description: 'One of which only a part was refunded, or whose products stay the buyer’s, is paid still.',
  }),
  total: money,
  refunded: money.meta({ description: 'What has gone back in all.' }),
  provider: z.string(),
  createdAt: z.iso.datetime(),
  paidAt: z.iso.datetime().nullable(),
  refundedAt: z.iso.datetime().nullable(),
  refundReason: z.string().nullable(),
  lines: z.array(
    z.object({
      id: z.string(),
      productKey: z.string(),
      name: z.string(),
      kind: z.enum(['main', 'bump']),
      fullAmount: money,
      amount: money,
      refunded: money.meta({ description: 'What has gone back of the amount.' }),
      takenBackAt: z.iso
        .datetime()
        .nullable()
        .meta({ description: 'Since when the product has gone back too: download, licence, membership.' }),
      licenceKey: z.string().nullable(),
      licenceRevokedAt: z.iso
        .datetime()
        .nullable()
        .meta({ description: 'Of a product that was taken back: the key is good for nothing since.' }),
    }),
  ),
  refunds: z
    .array(
      z.object({
        id: z.string(),
        amount: money,
        reason: z.string().nullable(),
        at: z.iso.datetime(),
        lines: z.array(z.object({ lineId: z.string(), amount: money })),
      }),
    )
    .meta({ description: 'Oldest first; the amounts of its lines sum to that of a refund.' }),
});

export const orderList = pageOf(orderResponse);
export const orderQuery = pageQuery.extend({
  subscriberId: idSchema.optional().meta({
    description:
      'Only orders of this subscriber; of one that nobody has paid, who got the mail that led to it.',
  }),
});

const MAX_REASON_CHARS = 500;
const MAX_LINES = 100;

const part = z.strictObject({
  amountMinor: z.int('use a whole number of minor units from 1').min(1, 'use a whole number from 1'),
  currency: z.string().refine(isCurrency, 'use an ISO 4217 code in capitals, such as EUR'),
});

export const refundBody = z
  .strictObject({
    reason: z
      .string()
      .trim()
      .min(1, 'say why, or leave it out')
      .max(MAX_REASON_CHARS, `at most ${MAX_REASON_CHARS} characters`)
      .meta({ description: 'For your books; the buyer does not see it.' })
      .optional(),
    amount: part
      .meta({
        description:
          'Of the whole order, spread over what is left of its lines. The products stay the buyer’s.',
      })
      .optional(),
    lines: z
      .array(
        z.strictObject({
          lineId: idSchema,
          amount: part
            .meta({
              description:
                'Left out: all that is left of the line, which may be nothing, and the product goes back with it.',
            })
            .optional(),
        }),
      )
      .min(1, 'name at least one line')
      .max(MAX_LINES, `at most ${MAX_LINES} lines`)
      .refine(
        (lines) => new Set(lines.map(({ lineId }) => lineId)).size === lines.length,
        'name each line once',
      )
      .meta({ description: 'In place of an amount of the whole order.' })
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
    lines: lines.map(({ id, productKey, name, kind, fullAmount, amount, refunded, ...line }) => {
      const { takenBackAt, licenceKey, licenceRevokedAt } = line;
      return {
        ...{ id, productKey, name, kind, fullAmount, amount, refunded },
        ...{ takenBackAt, licenceKey, licenceRevokedAt },
      };
    }),
  };
}
