import { Controller, Get, Inject, Param, Query, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { MessagesService } from '../delivery/planning/messages.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { CheckoutPages } from './checkout-pages.service.js';
import { readOrderToken } from './order-token.js';
import { OrdersService } from './orders.service.js';

/** What was bought, with fresh download links each time. Reached from the payment and from the receipt, whose link has a token (`m`). */
@Controller('order')
export class OrderPageController {
  constructor(
    private readonly orders: OrdersService,
    private readonly pages: CheckoutPages,
    private readonly messages: MessagesService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  @Get(':token')
  async show(
    @Param('token') token: string,
    @Query('m') m: string | string[] | undefined,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const messageId = typeof m === 'string' ? this.messages.messageFromToken(m) : null;
    if (messageId !== null) await this.messages.linkUsed(messageId);
    const id = readOrderToken(this.config.secretKey, 'order-page', { token, now: this.clock.now() });
    if (id === 'expired') return this.pages.orderLinkExpired(reply);
    const order = id === null ? null : await this.orders.findById(id);
    if (order?.status === 'refunded') return this.pages.refunded(reply, order);
    if (order?.status !== 'paid') return this.pages.noOrder(reply);
    return this.pages.thanks(reply, order);
  }
}
