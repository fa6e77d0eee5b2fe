import { Inject, Injectable } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { CONFIG, type Config } from '../infra/config.js';
import { KeptPages } from '../infra/templates/kept-pages.service.js';
import { sendPrivatePage } from '../infra/http/send-page.js';
import { endedView, footerOf, tokenQuery } from '../offers/offer-view.js';
import { OffersService, type OfferTerms } from '../offers/offers.service.js';
import { checkoutTotal } from './checkout.js';
import { orderToken } from './order-token.js';
import type { Order } from './order.js';
import { OrdersService } from './orders.service.js';
import { orderSummary, ReceiptsService } from './receipts.service.js';
import { UpsellsService } from './upsells/upsells.service.js';

export interface CheckoutFormState {
  terms: OfferTerms;
  token: string | undefined;
  values: { email: string; name: string; bump: boolean };
  errors: Record<string, string>;
}

/** The pages between the offer and the download. */
@Injectable()
export class CheckoutPages {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly keptPages: KeptPages,
    private readonly orders: OrdersService,
    private readonly receipts: ReceiptsService,
    private readonly offers: OffersService,
    private readonly upsells: UpsellsService,
  ) {}

  async form(
    reply: FastifyReply,
    status: number,
    { terms, token, values, errors }: CheckoutFormState,
  ): Promise<void> {
    const { offer, price, fullPrice, discountBps, expired } = terms;
    const view = {
      offer: { title: offer.content.title, fullPrice, discountBps, expired },
      product: offer.product,
      price,
      // The price that is shown travels along, so that nobody is charged more than they saw; the mail's token, so that
      // loading the page anew after a mistake shows the same price.
      action: `/checkout/${offer.slug}?seen=${price.amountMinor}${tokenQuery(token).replace('?', '&')}`,
      token: token ?? '',
      values,
      errors,
      footer: footerOf(offer.sender),
      ...(offer.bump === null
        ? {}
        : { bump: offer.bump, totalWithBump: checkoutTotal(price, offer.bump.price) }),
    };
    sendPrivatePage(reply, status, await this.keptPages.render(offer.content.pages, 'pages/checkout', view));
  }

  /** To the payment page; an order without anything to pay is paid at once. */
  async toPayment(reply: FastifyReply, order: Order): Promise<void> {
    if (order.total.amountMinor > 0) {
      const token = orderToken(this.config.secretKey, 'order', { id: order.id, from: order.createdAt });
      await reply.redirect(`/checkout/${order.offerSlug}/pay/${token}`, 303);
      return;
    }
    const paid = await this.orders.markPaid(order.id, 'free', `free-${order.id}`);
    return this.toThanks(reply, paid);
  }

  /** To what is offered after the order; when there is nothing more, to the page of the first order, which has all of them. */
  async toThanks(reply: FastifyReply, order: Order): Promise<void> {
    const next = await this.upsells.nextPath(order);
    await reply.redirect(next ?? this.receipts.orderPath(await this.shownFor(order)), 303);
  }

  async thanks(reply: FastifyReply, order: Order): Promise<void> {
    const orders = await this.upsells.family(order);
    const summaries = orders.map(orderSummary);
    const memberships = await Promise.all(orders.map(async (one) => this.receipts.memberships(one)));
    const all = { ...order, lines: orders.flatMap(({ lines }) => lines) };
    const { pages, ...footer } = await this.seller(order);
    const view = {
      orders: summaries,
      downloads: await this.receipts.downloads(orders),
      memberships: memberships.flat(),
      licences: orderSummary(all)['licences'],
      ...footer,
      ...(this.config.mailboxOn ? { mailboxUrl: '/mailbox' } : {}),
    };
    sendPrivatePage(reply, 200, await this.keptPages.render(pages, 'pages/thanks', view));
  }

  async testPayment(reply: FastifyReply, order: Order, action: string): Promise<void> {
    const { pages: _, ...footer } = await this.seller(order);
    const view = { total: order.total, action, ...(await this.back(order)), ...footer };
    sendPrivatePage(reply, 200, await this.keptPages.render(undefined, 'pages/test-payment', view));
  }

  async declined(reply: FastifyReply, order: Order, retryUrl: string): Promise<void> {
    const { pages, ...footer } = await this.seller(order);
    const view = { retryUrl, ...(await this.back(order)), ...footer };
    sendPrivatePage(reply, 200, await this.keptPages.render(pages, 'pages/declined', view));
  }

  /** Back to the checkout as the same reader of the same mail, so that the price is the same. */
  retryUrl(order: Order, messageToken: string | undefined): string {
    return `/checkout/${order.offerSlug}${tokenQuery(messageToken)}`;
  }

  async expired(reply: FastifyReply, slug: string): Promise<void> {
    const view = {
      heading: 'This checkout has ended',
      message: 'An order waits a day for its payment. Nothing was charged.',
      action: { url: `/checkout/${encodeURIComponent(slug)}`, label: 'Start again' },
    };
    sendPrivatePage(reply, 410, await this.keptPages.render(undefined, 'pages/expired-link', view));
  }

  async upsellExpired(reply: FastifyReply, orderPath: string): Promise<void> {
    const view = {
      heading: 'This offer has ended',
      message: 'It was for the hour after your order. The order itself is paid and waits for you.',
      action: { url: orderPath, label: 'Open my order' },
    };
    sendPrivatePage(reply, 410, await this.keptPages.render(undefined, 'pages/expired-link', view));
  }

  async orderLinkExpired(reply: FastifyReply): Promise<void> {
    const message = 'Links to an order work for 30 days. Reply to your receipt to get a new one.';
    sendPrivatePage(reply, 410, await this.keptPages.render(undefined, 'pages/expired-link', { message }));
  }

  async refunded(reply: FastifyReply, order: Order): Promise<void> {
    const message = `Order ${order.number} was refunded, so its downloads are closed.`;
    const { pages: _, ...footer } = await this.seller(order);
    const view = { status: 410, heading: 'This order was refunded', message, ...footer };
    sendPrivatePage(reply, 410, await this.keptPages.render(undefined, 'pages/error', view));
  }

  async noOffer(reply: FastifyReply, slug: string): Promise<void> {
    const ended = await this.offers.findEnded(slug);
    if (ended !== null) {
      sendPrivatePage(reply, 410, await this.keptPages.render(undefined, 'pages/error', endedView(ended)));
      return;
    }
    const message =
      'There is nothing to buy at this address. The offer may have ended, or the address is not complete.';
    sendPrivatePage(
      reply,
      404,
      await this.keptPages.render(undefined, 'pages/error', {
        status: 404,
        heading: 'No such offer',
        message,
      }),
    );
  }

  async noOrder(reply: FastifyReply): Promise<void> {
    const message =
      'This link is not complete. Copy the whole address from the mail, or press the button in it.';
    sendPrivatePage(
      reply,
      404,
      await this.keptPages.render(undefined, 'pages/error', {
        status: 404,
        heading: 'No such order',
        message,
      }),
    );
  }

  /** The page that shows an order once it is paid: that of the first, as long as it has one. */
  private async shownFor(order: Order): Promise<Order> {
    const root = await this.upsells.rootOf(order);
    return root?.status === 'paid' ? root : order;
  }

  /** The way past a payment that is for something more: the first order is paid. */
  private async back(order: Order): Promise<{ orderUrl?: string }> {
    if (order.parentOrderId === null) return {};
    const root = await this.upsells.rootOf(order);
    return root?.status === 'paid' ? { orderUrl: this.receipts.orderPath(root) } : {};
  }

  /** At the head and the foot of every page of an order, and whose pages they are: nobody pays at a stranger's. */
  private async seller(
    order: Order,
  ): Promise<{ footer?: ReturnType<typeof footerOf>; pages?: OfferTerms['offer']['content']['pages'] }> {
    const offer = await this.offers.findById(order.offerId);
    return offer === null ? {} : { footer: footerOf(offer.sender), pages: offer.content.pages };
  }
}
