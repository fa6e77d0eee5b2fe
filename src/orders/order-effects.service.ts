import { randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { CommissionsService } from '../affiliates/commissions.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { boughtTag } from '../sequences/steps/condition.js';
import { EnrollmentsService } from '../sequences/enrollments/enrollments.service.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';
import { TrackingService } from '../tracking/tracking.service.js';
import { LICENCE_KEY_BYTES, licenceKey } from './licence-key.js';
import { MembershipsService } from './memberships/memberships.service.js';
import type { Order } from './order.js';
import { productsKept } from './orders.queries.js';

/** What a payment and a refund mean for the rest, in the transaction of the order. The only writer of `licence`. */
@Injectable()
export class OrderEffects {
  constructor(
    private readonly subscribers: SubscribersService,
    private readonly tracking: TrackingService,
    private readonly enrollments: EnrollmentsService,
    private readonly commissions: CommissionsService,
    private readonly memberships: MembershipsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Called once for each order, which is locked and was not paid before. `buyer`: null for somebody erased. */
  async paid(
    manager: EntityManager,
    order: Order,
    buyer: { id: string; isNew: boolean } | null,
  ): Promise<void> {
    const buyerId = buyer?.id ?? null;
    await this.issueLicences(manager, order);
    await this.tracking.recordConversion(manager, {
      kind: 'order',
      funnelKey: order.funnelKey,
      dedupeKey: `order:${order.id}`,
      ...(buyerId === null ? {} : { subscriberId: buyerId }),
      orderId: order.id,
      money: order.total,
      ...(order.visitorId === null ? {} : { visitorId: order.visitorId }),
      ...(order.messageId === null ? {} : { messageId: order.messageId }),
    });
    // Before the enrollments, as the clock's job locks them too: the other way round the two would wait for each other.
    if (buyerId !== null) await this.memberships.paid(manager, order.id, membershipsIn(order, buyerId));
    await this.commissions.settle(manager, {
      id: order.id,
      funnelKey: order.funnelKey,
      currency: order.total.currency,
      placedAt: order.createdAt,
      email: order.email,
      buyer,
      readerId: order.subscriberId,
      lines: order.lines.map(({ id, amount }) => ({ id, netMinor: amount.amountMinor })),
    });
    // Who was written to and who typed an address at the checkout are often one person with two addresses: the
    // letters end for both, or a customer would go on being told to buy. They may be two: only the buyer is a customer.
    const readerId = order.subscriberId === buyerId ? null : order.subscriberId;
    for (const { productKey } of order.lines) {
      if (buyerId !== null) {
        await this.subscribers.tag(manager, buyerId, boughtTag(productKey));
        await this.enrollments.exitOnPurchase(manager, buyerId, { productKey, orderId: order.id });
      }
      if (readerId !== null) await this.enrollments.exitOfReader(manager, readerId, productKey);
    }
  }

  /**
   * Called once for each refund, with the order as it is after it, which is locked and was paid before. Commissions go back
   * with the money of their line; licences, memberships and tags with the lines that are taken back. What the buyer has paid
   * for twice they keep.
   */
  async refunded(
    manager: EntityManager,
    order: Order,
    { takenBack, refundId }: { takenBack: readonly string[]; refundId: string },
  ): Promise<void> {
    const { subscriberId } = order;
    const lines = order.lines.filter(({ id }) => takenBack.includes(id));
    // As a payment does, and before anything else: one of the same product that runs now is waited for and counts.
    if (subscriberId !== null) await this.subscribers.hold(manager, subscriberId);
    await manager.query('update licence set revoked_at = $2 where order_line_id = any ($1)', [
      takenBack,
      this.clock.now(),
    ]);
    const refundedOf = order.lines.map(({ id, refunded }): [string, number] => [id, refunded.amountMinor]);
    await this.commissions.clawBack(manager, order.id, new Map(refundedOf));
    if (subscriberId === null || lines.length === 0) return;
    const productIds = lines.map(({ productId }) => productId);
    await this.memberships.refundedOrder(manager, order.id, productIds);
    const kept = await productsKept(manager, subscriberId, productIds);
    const products = lines.flatMap(({ productId, productKey }) => (kept.has(productId) ? [] : [productKey]));
    for (const product of products) await this.subscribers.untag(manager, subscriberId, boughtTag(product));
    await this.enrollments.purchaseUndone(manager, subscriberId, { products, refundId });
  }

  private async issueLicences(manager: EntityManager, order: Order): Promise<void> {
    for (const line of order.lines.filter(({ licensed }) => licensed)) {
      await manager.query(`insert into licence (key, order_line_id, created_at) values ($1, $2, $3)`, [
        licenceKey(randomBytes(LICENCE_KEY_BYTES)),
        line.id,
        this.clock.now(),
      ]);
    }
  }
}

function membershipsIn({ lines }: Order, subscriberId: string): Parameters<MembershipsService['paid']>[2] {
  return lines.flatMap(({ productId, productKey, membership }) =>
    membership === null
      ? []
      : [{ subscriberId, product: { id: productId, key: productKey }, term: membership }],
  );
}
