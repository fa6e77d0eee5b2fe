import { Body, Controller, Get, Param, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { REFERRAL_COOKIE } from '../../affiliates/referrals.service.js';
import { KeptPages } from '../../infra/templates/kept-pages.service.js';
import { sendPrivatePage } from '../../infra/http/send-page.js';
import { footerOf } from '../../offers/offer-view.js';
import { DomainError } from '../../values/domain-error.js';
import { CheckoutPages } from '../checkout-pages.service.js';
import { upsellForm } from '../checkout.schemas.js';
import { ReceiptsService } from '../receipts.service.js';
import { UpsellsService, type OpenedUpsell } from './upsells.service.js';

/** One more thing after the order, taken or left by one button. The order itself is paid and safe whatever happens here. */
@Controller('upsell')
export class UpsellPageController {
  constructor(
    private readonly upsells: UpsellsService,
    private readonly receipts: ReceiptsService,
    private readonly pages: CheckoutPages,
    private readonly keptPages: KeptPages,
  ) {}

  @Get(':token')
  async show(
    @Param('token') token: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const opened = await this.upsells.open(token, request.method !== 'HEAD');
    if (opened.kind !== 'offered') return this.goOn(reply, opened);
    const { root, terms } = opened;
    const { offer, price, fullPrice, discountBps } = terms;
    const { title, headline, description, bullets } = offer.content;
    const view = {
      offer: { title, headline, description, bullets, price, fullPrice, discountBps },
      product: offer.product,
      order: { number: root.number },
      action: `/upsell/${token}`,
      footer: footerOf(offer.sender),
    };
    sendPrivatePage(reply, 200, await this.keptPages.render(offer.content.pages, 'pages/upsell', view));
  }

  @Post(':token')
  async answer(
    @Param('token') token: string,
    @Body() body: unknown,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const form = upsellForm.safeParse(body ?? {});
    if (!form.success)
      throw new DomainError('UPSELL_ANSWER_INVALID', 'answer: choose accept or decline', {
        field: 'answer',
        allowed: ['accept', 'decline'],
      });
    const opened =
      form.data.answer === 'accept'
        ? await this.upsells.accept(token, request.cookies[REFERRAL_COOKIE])
        : await this.upsells.decline(token);
    // Not on offer any more since the page was opened: the page itself says what comes next.
    return this.goOn(reply, opened);
  }

  private async goOn(reply: FastifyReply, opened: OpenedUpsell): Promise<void> {
    switch (opened.kind) {
      case 'unknown':
        return this.pages.noOrder(reply);
      case 'expired':
        return this.pages.upsellExpired(reply, this.receipts.orderPath(opened.root));
      case 'over':
        if (opened.order?.status === 'pending' || opened.order?.status === 'declined')
          return this.pages.toPayment(reply, opened.order);
        return this.pages.toThanks(reply, opened.root);
      case 'offered':
        throw new Error('an offer that is open is shown');
      default:
        return opened satisfies never;
    }
  }
}
