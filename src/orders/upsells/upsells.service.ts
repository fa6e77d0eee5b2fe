import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { ReferralsService } from '../../affiliates/referrals.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import type { Offer } from '../../offers/offer.js';
import { OffersService, type OfferTerms } from '../../offers/offers.service.js';
import { orderNumber } from '../order-number.js';
import { orderToken, readOrderToken, UPSELL_MS } from '../order-token.js';
import type { Order } from '../order.js';
import { findOrder, insertOrder, nextOrderId } from '../orders.queries.js';
import { nextOffer, type Candidate, type Ways } from './upsell.js';
import {
  answerUpsell,
  findUpsell,
  holdPaid,
  insertUpsell,
  lockUpsell,
  markShown,
  offeredAfter,
  owns,
  withdrawUpsell,
  type UpsellRow,
} from './upsells.queries.js';

/** What the link of an upsell page leads to now. `root`: the order after which it is offered. */
export type OpenedUpsell =
  | { kind: 'offered'; root: Order; terms: OfferTerms }
  /** It was answered, or is not on offer any more: the buyer goes on. */
  | { kind: 'over'; root: Order; order: Order | null }
  | { kind: 'expired'; root: Order }
  | { kind: 'unknown' };

/**
 * What is offered to a buyer after they have paid, by one button: each offer once for each first order, and never what
 * they own. Each that is accepted is an order of its own, with its receipt and delivery, beside the first, which nothing
 * here changes. The only writer of `upsell`.
 */
@Injectable()
export class UpsellsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly offers: OffersService,
    private readonly referrals: ReferralsService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Path of the page with the next offer after a payment; null when there is none, which leads to the order. */
  async nextPath(order: Order): Promise<string | null> {
    const root = await this.rootOf(order);
    if (root === null || !this.isOpen(root) || root.subscriberId === null) return null;
    // Each round ends one offer for good, or is the last.
    for (;;) {
      const offered = await offeredAfter(this.dataSource.manager, root.id);
      const next = nextOffer(offered, await this.waysOf(root, offered));
      if (next.kind === 'none') return null;
      if (next.kind === 'new') return this.firstOf(root, next.candidates);
      const open = offered.find(({ id }) => id === next.id);
      if (open && (await this.termsFor(root, open)) !== null) return this.pathOf(root, open.id);
      await withdrawUpsell(this.dataSource.manager, next.id, this.clock.now());
    }
  }

  /** `isSeen`: a person looks at it, and no checker of links. */
  async open(token: string, isSeen: boolean): Promise<OpenedUpsell> {
    const found = await this.read(token);
    if (!('upsell' in found)) return found;
    const { upsell, root } = found;
    const terms = await this.termsFor(root, upsell);
    if (upsell.answer !== null || terms === null) return this.over(root, upsell);
    if (isSeen) await markShown(this.dataSource.manager, upsell.id, this.clock.now());
    return { kind: 'offered', root, terms };
  }

  /** A pending order at the price of this moment; the payment page says it before anything is paid. A second click finds the first's. */
  async accept(token: string, referralCookie: string | undefined): Promise<OpenedUpsell> {
    const found = await this.read(token);
    if (!('upsell' in found)) return found;
    // Before the transaction: it takes a connection of its own, and many who held one would wait for another for ever.
    const terms = await this.termsFor(found.root, found.upsell);
    return this.dataSource.transaction(async (manager) => {
      const upsell = (await lockUpsell(manager, found.upsell.id)) ?? found.upsell;
      const root = (await holdPaid(manager, found.root.id)) && (await findOrder(manager, found.root.id));
      if (!root) return { kind: 'unknown' };
      // Without a subscriber the buyer was erased meanwhile: nothing could be delivered to them.
      if (upsell.answer !== null || terms === null || root.subscriberId === null)
        return this.over(root, upsell, manager);
      const order = await this.store(manager, root, terms);
      const source = { cookie: referralCookie };
      const { id: orderId, funnelKey, subscriberId: readerId } = order;
      await this.referrals.ordered(manager, { orderId, funnelKey, emailKey: null, readerId, source });
      await answerUpsell(manager, upsell.id, { answer: 'taken', takenOrderId: order.id }, this.clock.now());
      return { kind: 'over', root, order };
    });
  }

  async decline(token: string): Promise<OpenedUpsell> {
    const found = await this.read(token);
    if (!('upsell' in found)) return found;
    return this.dataSource.transaction(async (manager) => {
      const upsell = (await lockUpsell(manager, found.upsell.id)) ?? found.upsell;
      if (upsell.answer === null)
        await answerUpsell(manager, upsell.id, { answer: 'declined', takenOrderId: null }, this.clock.now());
      return { kind: 'over', root: found.root, order: null };
    });
  }

  /** The first order and the paid ones that followed from it, oldest first. */
  async family(order: Order): Promise<Order[]> {
    if (order.parentOrderId !== null) return [order];
    const { manager } = this.dataSource;
    const taken = (await offeredAfter(manager, order.id)).flatMap(({ takenOrderId }) => takenOrderId ?? []);
    const orders = await Promise.all(taken.map(async (id) => findOrder(manager, id)));
    return [order, ...orders.filter((one) => one?.status === 'paid')].filter((one) => one !== null);
  }

  /** The order that it followed from; itself for a first one. Null for one whose first is gone. */
  async rootOf(order: Order): Promise<Order | null> {
    return order.parentOrderId === null ? order : findOrder(this.dataSource.manager, order.parentOrderId);
  }

  private async read(
    token: string,
  ): Promise<{ upsell: UpsellRow; root: Order } | Extract<OpenedUpsell, { kind: 'expired' | 'unknown' }>> {
    const { secretKey } = this.config;
    const now = this.clock.now();
    const id = readOrderToken(secretKey, 'upsell', { token, now });
    // Who it was for stays in an expired link, so that it leads back to the order.
    const known = id === 'expired' ? readOrderToken(secretKey, 'upsell', { token, now: new Date(0) }) : id;
    const upsell =
      known === null || known === 'expired' ? null : await findUpsell(this.dataSource.manager, known);
    const root = upsell && (await findOrder(this.dataSource.manager, upsell.orderId));
    if (upsell === null || root === null || root.status !== 'paid') return { kind: 'unknown' };
    return id === 'expired' ? { kind: 'expired', root } : { upsell, root };
  }

  /** Where the offer that was bought last leads. */
  private async waysOf(root: Order, offered: readonly UpsellRow[]): Promise<Ways> {
    const bought = offered.findLast(({ paid }) => paid)?.slug;
    const offer =
      bought === undefined ? await this.offers.findById(root.offerId) : await this.offers.findBySlug(bought);
    return { upsell: offer?.upsell ?? null, downsell: offer?.downsell ?? null };
  }

  private async firstOf(root: Order, candidates: readonly Candidate[]): Promise<string | null> {
    for (const candidate of candidates) {
      const id = await this.begin(root, candidate);
      if (id !== null) return this.pathOf(root, id);
    }
    return null;
  }

  private async over(root: Order, { takenOrderId }: UpsellRow, db?: EntityManager): Promise<OpenedUpsell> {
    const order = takenOrderId === null ? null : await findOrder(db ?? this.dataSource.manager, takenOrderId);
    return { kind: 'over', root, order };
  }

  private isOpen({ status, paidAt }: Order): boolean {
    return status === 'paid' && paidAt !== null && this.clock.now().getTime() < paidAt.getTime() + UPSELL_MS;
  }

  /** Null when it cannot be shown: it is gone, or the buyer owns what it sells. */
  private async begin(root: Order, candidate: Candidate): Promise<string | null> {
    const offer = await this.offers.findBySlug(candidate.slug);
    if (offer === null || (await this.isOwned(root, offer))) return null;
    const place = { orderId: root.id, offerId: offer.id };
    const { manager } = this.dataSource;
    const id = await insertUpsell(manager, place, candidate, this.clock.now());
    return (
      id ?? (await offeredAfter(manager, root.id)).find(({ slug }) => slug === candidate.slug)?.id ?? null
    );
  }

  private async termsFor(root: Order, { slug }: UpsellRow): Promise<OfferTerms | null> {
    const terms = await this.offers.terms(slug, root.messageId, this.clock.now());
    return terms === null || (await this.isOwned(root, terms.offer)) ? null : terms;
  }

  private async isOwned({ subscriberId }: Order, { product }: Offer): Promise<boolean> {
    if (subscriberId === null) return false;
    return owns(this.dataSource.manager, subscriberId, { product, now: this.clock.now() });
  }

  private async store(
    manager: EntityManager,
    root: Order,
    { offer, price, fullPrice }: OfferTerms,
  ): Promise<Order> {
    const now = this.clock.now();
    const id = await nextOrderId(manager);
    const { subscriberId, messageId, visitorId, email, name } = root;
    const line = { fullAmountMinor: fullPrice.amountMinor, amountMinor: price.amountMinor };
    await insertOrder(
      manager,
      {
        ...{ funnelKey: offer.funnelKey, offerId: offer.id, parentOrderId: root.id },
        ...{ subscriberId, messageId, visitorId, email, name, ...price },
        lines: [{ productId: offer.product.id, kind: 'main', ...line }],
      },
      { id, number: orderNumber(id, now), now },
    );
    const stored = await findOrder(manager, id);
    if (stored === null) throw new Error(`order ${id} was not stored`);
    return stored;
  }

  private pathOf(root: Order, id: string): string {
    const from = root.paidAt ?? root.createdAt;
    return `/upsell/${orderToken(this.config.secretKey, 'upsell', { id, from })}`;
  }
}
