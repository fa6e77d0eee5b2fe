import { Controller, Get, Inject, Param, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { MessagesService } from '../delivery/planning/messages.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { KeptPages } from '../infra/templates/kept-pages.service.js';
import { sendPrivatePage } from '../infra/http/send-page.js';
import { TrackingService } from '../tracking/tracking.service.js';
import { endedView, footerOf, tokenQuery } from './offer-view.js';
import { OffersService, type OfferTerms } from './offers.service.js';

/** The page at the end of a sequence. A token of a mail (`m`) tells who is looking, and so at which price. */
@Controller('offer')
export class OfferPageController {
  constructor(
    private readonly offers: OffersService,
    private readonly messages: MessagesService,
    private readonly tracking: TrackingService,
    private readonly pages: KeptPages,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  @Get(':slug')
  async show(
    @Param('slug') slug: string,
    @Query('m') token: string | string[] | undefined,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const sent = typeof token === 'string' ? token : undefined;
    const messageId = sent === undefined ? null : this.messages.messageFromToken(sent);
    if (messageId !== null) await this.messages.linkUsed(messageId);
    const terms = await this.offers.terms(slug, messageId, this.clock.now());
    if (terms === null) {
      const ended = await this.offers.findEnded(slug);
      if (ended !== null) {
        sendPrivatePage(reply, 410, await this.pages.render(undefined, 'pages/error', endedView(ended)));
        return;
      }
      const message =
        'There is nothing on offer at this address. It may have ended, or the address is not complete.';
      sendPrivatePage(
        reply,
        404,
        await this.pages.render(undefined, 'pages/error', { status: 404, heading: 'No such offer', message }),
      );
      return;
    }
    // A HEAD request is a link checker's: it has seen no page.
    if (request.method !== 'HEAD') await this.record(terms, request);
    const html = await this.pages.render(
      terms.offer.content.pages,
      'pages/offer',
      this.view(terms, messageId === null ? undefined : sent),
    );
    sendPrivatePage(reply, 200, html);
  }

  private async record(
    { offer, subscriberId, messageId }: OfferTerms,
    request: FastifyRequest,
  ): Promise<void> {
    await this.tracking.recordVisit({
      page: 'offer',
      slug: offer.slug,
      funnelKey: offer.funnelKey,
      ...(subscriberId === null ? {} : { subscriberId }),
      ...(messageId === null ? {} : { messageId }),
      request,
    });
  }

  private view(terms: OfferTerms, token: string | undefined): Record<string, unknown> {
    const { offer, price, fullPrice, discountBps, expired, expiresAt } = terms;
    const { title, headline, description, bullets } = offer.content;
    return {
      offer: {
        title,
        headline,
        description,
        bullets,
        price,
        fullPrice,
        discountBps,
        expired,
        expiresAt: expiresAt?.toISOString(),
      },
      product: offer.product,
      checkoutUrl: `/checkout/${offer.slug}${tokenQuery(token)}`,
      footer: footerOf(offer.sender),
      now: this.clock.now().toISOString(),
    };
  }
}
