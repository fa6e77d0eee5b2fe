import { Controller, Get, Param, Query } from '@nestjs/common';
import { ApiRoute } from '../infra/http/api-route.js';
import { idSchema, pageQuery, toPage, type PageQuery } from '../infra/http/page.js';
import { DomainError } from '../values/domain-error.js';
import { orderJson, orderList, orderResponse } from './orders.schemas.js';
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
}
