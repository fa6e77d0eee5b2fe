import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { ReferralsService } from '../affiliates/referrals.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { OffersService, type OfferTerms } from '../offers/offers.service.js';
import type { EmailAddressParse } from '../values/email-address.js';
import { CheckoutLimits } from './checkout-limits.service.js';
import { checkoutTotal, priceStillHolds } from './checkout.js';
import { orderNumber } from './order-number.js';
import type { Order } from './order.js';
import {
  findOpenOrder,
  findOrder,
  holdReader,
  insertOrder,
  nextOrderId,
  type NewOrder,
  renameOpen,
} from './orders.queries.js';

interface CheckoutSubmission {
  slug: string;
  messageId: string | null;
  visitorId: Buffer | null;
  ip: string;
  /** By whose link the browser came, as its cookie says. */
  referralCookie?: string | undefined;
  email: Extract<EmailAddressParse, { ok: true }>;
  name: string | null;
  withBump: boolean;
  /** The price that the form showed for the offer; null when the caller saw none. */
  seenMinor: number | null;
}

export type CheckoutOutcome =
  | { kind: 'placed'; order: Order }
  | { kind: 'price_ended'; terms: OfferTerms }
  | { kind: 'no_bump'; terms: OfferTerms }
  | { kind: 'limited'; terms: OfferTerms; retryAfterSeconds: number }
  | { kind: 'no_offer' };

/** A second click or tab finds the order of the first for this long. */
const REUSE_MS = 3_600_000;

/** Turns a filled-in checkout into a pending order. Every amount is worked out here; none is taken from the form. */
@Injectable()
export class CheckoutService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly offers: OffersService,
    private readonly referrals: ReferralsService,
    private readonly limits: CheckoutLimits,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** The order keeps its amounts until it is paid, or until its payment link ends after 24 hours. */
  async place(submission: CheckoutSubmission): Promise<CheckoutOutcome> {
    const terms = await this.offers.terms(submission.slug, submission.messageId, this.clock.now());
    if (terms === null) return { kind: 'no_offer' };
    if (submission.withBump && terms.offer.bump === null) return { kind: 'no_bump', terms };
    if (!priceStillHolds(terms.price, submission.seenMinor, terms.expired))
      return { kind: 'price_ended', terms };
    const { ip, email } = submission;
    const verdict = await this.limits.take({ ip, emailKey: email.key });
    if (!verdict.allowed) return { kind: 'limited', terms, retryAfterSeconds: verdict.retryAfterSeconds };
    return { kind: 'placed', order: await this.store(newOrder(submission, terms), submission) };
  }

  private async store(order: NewOrder, { email, referralCookie }: CheckoutSubmission): Promise<Order> {
    const now = this.clock.now();
    return this.dataSource.transaction(async (manager) => {
      // Two clicks at once would both find no open order: the second waits here until the first has made it.
      await manager.query(`select pg_advisory_xact_lock(hashtextextended($1, 0))`, [
        `checkout:${order.offerId}:${email.key}`,
      ]);
      const open = await findOpenOrder(manager, order, new Date(now.getTime() - REUSE_MS));
      const id =
        (open && (await renameOpen(manager, open, order.name))) ?? (await this.insert(manager, order));
      const { funnelKey, subscriberId: readerId } = order;
      const source = { cookie: referralCookie };
      await this.referrals.ordered(manager, {
        orderId: id,
        funnelKey,
        emailKey: email.key,
        readerId,
        source,
      });
      const stored = await findOrder(manager, id);
      if (stored === null) throw new Error(`order ${id} was not stored`);
      return stored;
    });
  }

  private async insert(manager: EntityManager, order: NewOrder): Promise<string> {
    const now = this.clock.now();
    const id = await nextOrderId(manager);
    const subscriberId = order.subscriberId && (await holdReader(manager, order.subscriberId));
    await insertOrder(manager, { ...order, subscriberId }, { id, number: orderNumber(id, now), now });
    return id;
  }
}

function newOrder(submission: CheckoutSubmission, terms: OfferTerms): NewOrder {
  const { offer, price, fullPrice, subscriberId, messageId } = terms;
  const bump = submission.withBump ? offer.bump : null;
  const total = checkoutTotal(price, bump?.price ?? null);
  return {
    funnelKey: offer.funnelKey,
    offerId: offer.id,
    subscriberId,
    messageId,
    visitorId: submission.visitorId,
    email: submission.email.address,
    name: submission.name,
    ...total,
    lines: [
      {
        productId: offer.product.id,
        kind: 'main',
        fullAmountMinor: fullPrice.amountMinor,
        amountMinor: price.amountMinor,
      },
      ...(bump === null
        ? []
        : [
            {
              productId: bump.id,
              kind: 'bump' as const,
              fullAmountMinor: bump.price.amountMinor,
              amountMinor: bump.price.amountMinor,
            },
          ]),
    ],
  };
}
