import { randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { boughtTag } from '../sequences/condition.js';
import { EnrollmentsService } from '../sequences/enrollments.service.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';
import { TrackingService } from '../tracking/tracking.service.js';
import { DomainError } from '../values/domain-error.js';
import { parseEmailAddress } from '../values/email-address.js';
import { LICENCE_KEY_BYTES, licenceKey } from './licence-key.js';
import { canBecome } from './order-status.js';
import type { Order } from './order.js';
import { ERASED, findOrder, forgetBuyer, listOrders, lockOrder } from './orders.queries.js';
import { ReceiptsService } from './receipts.service.js';

/** Money comes in. The only writer of `orders`, `order_line` and `licence`. */
@Injectable()
export class OrdersService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly subscribers: SubscribersService,
    private readonly tracking: TrackingService,
    private readonly enrollments: EnrollmentsService,
    private readonly receipts: ReceiptsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async findById(id: string): Promise<Order | null> {
    return findOrder(this.dataSource.manager, id);
  }

  /** Newest first; `beforeId` is the last one the caller has seen. */
  async list(page: { beforeId?: string | undefined; limit: number }): Promise<Order[]> {
    return listOrders(this.dataSource.manager, page);
  }

  /**
   * Everything that follows from a payment, in one transaction: the order is paid, licences are issued, the conversion
   * is counted, the buyer is a tagged subscriber, sequences that sell what was bought end, the receipt is on its way.
   * Safe to call twice and at once (webhooks repeat, people double-click): the second call finds the order paid,
   * changes nothing and returns the same. `providerRef` is the provider's own name for the payment.
   * Throws `ORDER_NOT_FOUND`.
   */
  async markPaid(orderId: string, provider: string, providerRef: string): Promise<Order> {
    return this.dataSource.transaction(async (manager) => {
      const order = await lockedOrder(manager, orderId);
      if (!canBecome(order.status, 'paid')) return order;
      const buyerId = await this.buyer(manager, order);
      await manager.query(
        `update orders set status = 'paid', provider = $2, provider_ref = $3, paid_at = $4, subscriber_id = $5 where id = $1`,
        [orderId, provider, providerRef, this.clock.now(), buyerId],
      );
      await this.issueLicences(manager, order);
      await this.tellOthers(manager, order, buyerId);
      const paid = await findOrder(manager, orderId);
      if (paid === null) throw new Error(`order ${orderId} vanished while it was locked`);
      if (buyerId !== null) await this.receipts.plan(manager, { ...paid, subscriberId: buyerId });
      return paid;
    });
  }

  /** A refused payment. An order that is paid stays paid: the refusal was of another attempt. */
  async markDeclined(orderId: string): Promise<Order> {
    return this.dataSource.transaction(async (manager) => {
      const order = await lockedOrder(manager, orderId);
      if (!canBecome(order.status, 'declined')) return order;
      await manager.query(`update orders set status = 'declined' where id = $1`, [orderId]);
      return { ...order, status: 'declined' };
    });
  }

  /** Within the erasure of a person: the books keep their orders, without a way from the address to them. */
  async forget(manager: EntityManager, person: { subscriberId: string; email: string }): Promise<void> {
    await forgetBuyer(manager, person);
  }

  /**
   * A purchase is no consent: a buyer we did not know is entered as pending and gets no marketing. Null
   * for somebody who was erased between ordering and paying: the money counts, nobody is entered again.
   */
  private async buyer(manager: EntityManager, order: Order): Promise<string | null> {
    if (order.email === ERASED) return null;
    const email = parseEmailAddress(order.email);
    if (!email.ok) throw new Error(`order ${order.id} was stored with an address that cannot be read`);
    const { id } = await this.subscribers.upsert(manager, {
      email,
      ...(order.name === null ? {} : { name: order.name }),
    });
    return id;
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

  private async tellOthers(manager: EntityManager, order: Order, buyerId: string | null): Promise<void> {
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
    // Who was written to and who typed an address at the checkout are often one person with two addresses: the
    // letters end for both, or a customer would go on being told to buy.
    const people = new Set([buyerId, order.subscriberId].filter((id) => id !== null));
    for (const { productKey } of order.lines) {
      if (buyerId !== null) await this.subscribers.tag(manager, buyerId, boughtTag(productKey));
      for (const subscriberId of people) {
        await this.enrollments.exitOnPurchase(manager, subscriberId, productKey);
      }
    }
  }
}

async function lockedOrder(manager: EntityManager, orderId: string): Promise<Order> {
  const order = await lockOrder(manager, orderId);
  if (order) return order;
  throw new DomainError('ORDER_NOT_FOUND', `There is no order with the id ${orderId}`, { orderId });
}
