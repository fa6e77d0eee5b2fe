import { Body, Controller, Get, Inject, Param, Post, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { REFERRAL_COOKIE } from '../affiliates/referrals.service.js';
import { MessagesService } from '../delivery/planning/messages.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { messagesByField, fieldProblems } from '../infra/http/field-problems.js';
import type { OfferTerms } from '../offers/offers.service.js';
import { OffersService } from '../offers/offers.service.js';
import { TrackingService } from '../tracking/tracking.service.js';
import { formatMoney } from '../values/money.js';
import { CheckoutPages, type CheckoutFormState } from './checkout-pages.service.js';
import { checkoutForm, typedValues, type CheckoutForm } from './checkout.schemas.js';
import { CheckoutService, type CheckoutOutcome } from './checkout.service.js';

type Text = string | string[] | undefined;
const only = (value: Text): string | undefined => (typeof value === 'string' ? value : undefined);

/** Where a visitor becomes a buyer. Nothing is charged here: the order is made, the payment page follows. */
@Controller('checkout')
export class CheckoutController {
  constructor(
    private readonly offers: OffersService,
    private readonly checkouts: CheckoutService,
    private readonly pages: CheckoutPages,
    private readonly messages: MessagesService,
    private readonly tracking: TrackingService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  @Get(':slug')
  async show(
    @Param('slug') slug: string,
    @Query('m') m: Text,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const token = only(m);
    const messageId = this.messageIdOf(token);
    if (messageId !== null) await this.messages.linkUsed(messageId);
    const terms = await this.offers.terms(slug, messageId, this.clock.now());
    if (terms === null) return this.pages.noOffer(reply, slug);
    if (request.method !== 'HEAD') await this.recordVisit(terms, request);
    return this.pages.form(reply, 200, {
      terms,
      token,
      values: { email: '', name: '', bump: false },
      errors: {},
    });
  }

  @Post(':slug')
  async submit(
    @Param('slug') slug: string,
    @Body() body: unknown,
    @Req() request: FastifyRequest<{ Querystring: { seen?: Text } }>,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const parsed = checkoutForm.safeParse(body ?? {});
    const token = parsed.success ? parsed.data.m : only((body as { m?: Text } | null)?.m);
    const messageId = this.messageIdOf(token);
    if (parsed.success) {
      const outcome = await this.place(
        { slug, messageId, seen: only(request.query.seen), request },
        parsed.data,
      );
      return this.answer(reply, outcome, { slug, token, values: typedValues(body) });
    }
    const terms = await this.offers.terms(slug, messageId, this.clock.now());
    if (terms === null) return this.pages.noOffer(reply, slug);
    const errors = messagesByField(fieldProblems(parsed.error.issues, 'form', checkoutForm));
    return this.pages.form(reply, 422, { terms, token, values: typedValues(body), errors });
  }

  private async place(
    {
      slug,
      messageId,
      seen,
      request,
    }: { slug: string; messageId: string | null; seen: string | undefined; request: FastifyRequest },
    form: CheckoutForm,
  ): Promise<CheckoutOutcome> {
    return this.checkouts.place({
      slug,
      messageId,
      visitorId: this.tracking.visitorId(request.ip, request.headers['user-agent'] ?? '', this.clock.now()),
      ip: request.ip,
      referralCookie: request.cookies[REFERRAL_COOKIE],
      email: form.email,
      name: form.name,
      withBump: form.bump,
      seenMinor: seen !== undefined && /^\d{1,15}$/.test(seen) ? Number(seen) : null,
    });
  }

  private async answer(
    reply: FastifyReply,
    outcome: CheckoutOutcome,
    { slug, ...typed }: Pick<CheckoutFormState, 'token' | 'values'> & { slug: string },
  ): Promise<void> {
    switch (outcome.kind) {
      case 'placed':
        return this.pages.toPayment(reply, outcome.order);
      case 'no_offer':
        return this.pages.noOffer(reply, slug);
      case 'no_bump':
        return this.pages.form(reply, 422, {
          ...typed,
          terms: outcome.terms,
          errors: { bump: 'This offer has nothing to add.' },
        });
      case 'limited': {
        reply.header('retry-after', String(outcome.retryAfterSeconds));
        const minutes = Math.ceil(outcome.retryAfterSeconds / 60);
        const form = `Too many orders came from your network or for this address. Nothing was ordered or charged. Please send the form again in ${minutes} minutes.`;
        return this.pages.form(reply, 429, { ...typed, terms: outcome.terms, errors: { form } });
      }
      case 'price_ended': {
        const now = formatMoney(outcome.terms.price, 'en');
        const form = `The reduced price has ended. The price is ${now} now; send the form again to order at that price.`;
        return this.pages.form(reply, 422, { ...typed, terms: outcome.terms, errors: { form } });
      }
    }
  }

  private messageIdOf(token: string | undefined): string | null {
    return token === undefined || token === '' ? null : this.messages.messageFromToken(token);
  }

  private async recordVisit(
    { offer, subscriberId, messageId }: OfferTerms,
    request: FastifyRequest,
  ): Promise<void> {
    await this.tracking.recordVisit({
      page: 'checkout',
      slug: offer.slug,
      funnelKey: offer.funnelKey,
      ...(subscriberId === null ? {} : { subscriberId }),
      ...(messageId === null ? {} : { messageId }),
      request,
    });
  }
}
