import { Body, Controller, Get, Headers, Param, Post, Query } from '@nestjs/common';
import type { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { idSchema, toPage } from '../infra/http/page.js';
import { DomainError } from '../values/domain-error.js';
import { notFound } from '../values/not-found.js';
import { orderJson, orderList, orderQuery, orderResponse, refundBody } from './orders.schemas.js';
import { OrdersService } from './orders.service.js';
import { RefundsService } from './refunds/refunds.service.js';

@Controller('api/v1/orders')
export class OrdersController {
  constructor(
    private readonly orders: OrdersService,
    private readonly refunds: RefundsService,
  ) {}

  @Get()
  @ApiRoute({ summary: 'List orders, newest first', tag: 'orders', response: orderList })
  async list(
    @Query({ schema: orderQuery }) { cursor, limit, subscriberId }: z.output<typeof orderQuery>,
  ): Promise<unknown> {
    const rows = await this.orders.list({ subscriberId, beforeId: cursor, limit: limit + 1 });
    return toPage(rows, limit, orderJson);
  }

  @Get(':id')
  @ApiRoute({ summary: 'One order', tag: 'orders', response: orderResponse, errors: ['ORDER_NOT_FOUND'] })
  async get(@Param('id', { schema: idSchema }) id: string): Promise<unknown> {
    const order = await this.orders.findById(id);
    if (order) return orderJson(order);
    throw notFound('order', id);
  }

  @Post(':id/refund')
  @ApiRoute({
    summary: 'Record a refund',
    description:
      'The money goes back where it was paid; this says that it has. All that is left of the order, or a part of it: an amount, or lines. A part needs an Idempotency-Key, which names it for good. With the rest of the order, or all that is left of a named line, goes the product: downloads close, the purchase counts no more, and what it began ends. An amount is money alone, and leaves the buyer what they bought.',
    tag: 'orders',
    response: orderResponse,
    status: 200,
    example: { reason: 'Sent back within 14 days', lines: [{ lineId: '12' }] },
    errors: [
      'ORDER_NOT_FOUND',
      'ORDER_LINE_NOT_FOUND',
      'ORDER_REFUND_CONFLICT',
      'REFUND_AMOUNT_INVALID',
      'REFUND_KEY_MISSING',
    ],
  })
  async refund(
    @Param('id', { schema: idSchema }) id: string,
    @Body({ schema: refundBody }) body: z.output<typeof refundBody>,
    @Headers('idempotency-key') key: string | undefined,
  ): Promise<unknown> {
    const isPart = body.amount !== undefined || body.lines !== undefined;
    if (isPart && key === undefined) {
      const message =
        'Idempotency-Key: a refund of a part needs the header, so that a repeat pays back nothing';
      throw new DomainError('REFUND_KEY_MISSING', message, { field: 'Idempotency-Key' });
    }
    return orderJson(await this.refunds.refund(id, { ...body, key }));
  }
}
