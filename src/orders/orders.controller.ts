import { Body, Controller, Get, Param, Post, Query } from '@nestjs/common';
import type { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { idSchema, pageQuery, toPage, type PageQuery } from '../infra/http/page.js';
import { DomainError } from '../values/domain-error.js';
import { orderJson, orderList, orderResponse, refundBody } from './orders.schemas.js';
import { OrdersService } from './orders.service.js';

@Controller('api/v1/orders')
export class OrdersController {
  constructor(private readonly orders: OrdersService) {}

  @Get()
  @ApiRoute({ summary: 'List orders', tag: 'orders', response: orderList })
  async list(@Query({ schema: pageQuery }) query: PageQuery): Promise<unknown> {
    const rows = await this.orders.list({ beforeId: query.cursor, limit: query.limit + 1 });
    return toPage(rows, query.limit, orderJson);
  }

  @Get(':id')
  @ApiRoute({ summary: 'One order', tag: 'orders', response: orderResponse })
  async get(@Param('id', { schema: idSchema }) id: string): Promise<unknown> {
    const order = await this.orders.findById(id);
    if (order) return orderJson(order);
    throw new DomainError('ORDER_NOT_FOUND', `There is no order with the id ${id}`, { id });
  }

  @Post(':id/refund')
  @ApiRoute({
    summary: 'Record a refund',
    description:
      'The money goes back where it was paid; this says that it has. Downloads close, the purchase counts no more, and what it began ends.',
    tag: 'orders',
    response: orderResponse,
    status: 200,
  })
  async refund(
    @Param('id', { schema: idSchema }) id: string,
    @Body({ schema: refundBody }) { reason }: z.output<typeof refundBody>,
  ): Promise<unknown> {
    return orderJson(await this.orders.refund(id, reason ?? null));
  }
}
