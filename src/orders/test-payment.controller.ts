import { Body, Controller, Get, Inject, Param, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { MessagesService } from '../delivery/planning/messages.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { DomainError } from '../values/domain-error.js';
import { CheckoutPages } from './checkout-pages.service.js';
import { paymentForm } from './checkout.schemas.js';
import { readOrderToken } from './order-token.js';
import type { Order } from './order.js';
import { OrdersService } from './orders.service.js';

const PROVIDER = 'test';

/** Stands where a payment provider will be, and says so: no money moves. */
@Controller('checkout/:slug/pay')
export class TestPaymentController {
  constructor(
    private readonly orders: OrdersService,
    private readonly pages: CheckoutPages,
    private readonly messages: MessagesService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  @Get(':token')
  async show(
    @Param('slug') slug: string,
    @Param('token') token: string,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const order = await this.orderOf(slug, token);
    if (order === 'expired') return this.pages.expired(reply, slug);
    if (order === null) return this.pages.noOrder(reply);
    if (order.status === 'paid' || order.status === 'refunded') return this.pages.toThanks(reply, order);
    return this.pages.testPayment(reply, order, `/checkout/${slug}/pay/${token}`);
  }

  @Post(':token')
  async pay(
    @Param('slug') slug: string,
    @Param('token') token: string,
    @Body() body: unknown,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const order = await this.orderOf(slug, token);
    if (order === 'expired') return this.pages.expired(reply, slug);
    if (order === null) return this.pages.noOrder(reply);
    const form = paymentForm.safeParse(body ?? {});
    if (!form.success) {
      throw new DomainError('PAYMENT_OUTCOME_INVALID', 'outcome: choose paid or declined', {
        field: 'outcome',
        allowed: ['paid', 'declined'],
      });
    }
    if (form.data.outcome === 'paid') {
      return this.pages.toThanks(reply, await this.orders.markPaid(order.id, PROVIDER, `test-${order.id}`));
    }
    const after = await this.orders.markDeclined(order.id);
    if (after.status !== 'declined') return this.pages.toThanks(reply, after);
    // What was offered after an order has no form to go back to: its payment is tried again.
    if (after.parentOrderId !== null)
      return this.pages.declined(reply, after, `/checkout/${slug}/pay/${token}`);
    const messageToken = after.messageId === null ? undefined : this.messages.messageToken(after.messageId);
    return this.pages.declined(reply, after, this.pages.retryUrl(after, messageToken));
  }

  private async orderOf(slug: string, token: string): Promise<Order | 'expired' | null> {
    const id = readOrderToken(this.config.secretKey, 'order', { token, now: this.clock.now() });
    if (id === null || id === 'expired') return id;
    const order = await this.orders.findById(id);
    return order?.offerSlug === slug ? order : null;
  }
}
