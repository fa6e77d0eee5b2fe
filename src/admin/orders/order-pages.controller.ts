import { Body, Controller, Get, Param, Post, Query } from '@nestjs/common';
import { cursorOf, toPage } from '../../infra/http/page.js';
import type { Order } from '../../orders/order.js';
import { OrdersService } from '../../orders/orders.service.js';
import { RefundsService } from '../../orders/refunds/refunds.service.js';
import { DomainError } from '../../values/domain-error.js';
import { type Answer, Page, SeeOther } from '../answers/answer.js';
import {
  NOTHING_TYPED,
  type RefundErrors,
  refundRequestOf,
  type RefundTyped,
  refundTypedFrom,
  refundView,
} from './order-form.js';
import { checkedId } from '../forms/page-id.schemas.js';
import { queryOfSearch } from '../people/people-search.js';
import { typedTexts } from '../forms/typed-text.js';

const PAGE_ROWS = 50;
const MAX_SEARCH_CHARS = 254;

/** What was ordered, and money that goes back: all of it, an amount, or products. */
@Controller('admin/orders')
export class OrderPagesController {
  constructor(
    private readonly orders: OrdersService,
    private readonly refunds: RefundsService,
  ) {}

  @Get()
  async list(@Query() query: Record<string, unknown>): Promise<Answer> {
    const q = typedTexts(query, MAX_SEARCH_CHARS)('q');
    const page = { beforeId: cursorOf(query['cursor']), limit: PAGE_ROWS + 1, part: q || undefined };
    const { data, nextCursor } = toPage(await this.orders.list(page), PAGE_ROWS, (row) => row);
    return new Page('orders', { orders: data, nextCursor, q, searchQuery: queryOfSearch({ q }) });
  }

  @Get(':id')
  async show(@Param('id') id: string): Promise<Answer> {
    return page(await this.order(id));
  }

  @Post(':id/refund')
  async refund(@Param('id') id: string, @Body() body: unknown): Promise<Answer> {
    const order = await this.order(id);
    const typed = refundTypedFrom(body, order);
    const asked = refundRequestOf(typed, order);
    if ('errors' in asked) return page(order, { typed, errors: asked.errors, status: 422 });
    try {
      await this.refunds.refund(order.id, asked.request);
    } catch (error) {
      if (!(error instanceof DomainError) || error.code !== 'ORDER_REFUND_CONFLICT') throw error;
      const form = 'It has changed since you opened this page. Look at it as it is now, then send again.';
      return page(await this.order(id), { typed, errors: { form }, status: 409 });
    }
    return new SeeOther(`/admin/orders/${order.id}`);
  }

  private async order(id: string): Promise<Order> {
    const order = await this.orders.findById(checkedId(id, 'order'));
    if (order) return order;
    throw new DomainError('ORDER_NOT_FOUND', 'There is no such order', { id });
  }
}

function page(
  order: Order,
  { typed, errors, status }: { typed: RefundTyped; errors: RefundErrors; status: number } = {
    ...{ typed: NOTHING_TYPED, errors: {}, status: 200 },
  },
): Answer {
  const { rest, lines } = refundView(order);
  const left = new Map(lines.map((line) => [line.id, line.rest]));
  const chosen = new Set(typed.lines);
  const view = {
    ...{ order, rest, typed, errors },
    lines: order.lines.map((line) => ({ ...line, rest: left.get(line.id), isChosen: chosen.has(line.id) })),
    refunds: order.refunds.toReversed(),
    canRefund: order.status === 'paid',
    seen: order.refunded.amountMinor,
  };
  return new Page('order', view, status);
}
