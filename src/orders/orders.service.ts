import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { forgetClicks } from '../affiliates/forget.queries.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';
import { DomainError } from '../values/domain-error.js';
import { notFound } from '../values/not-found.js';
import { parseEmailAddress } from '../values/email-address.js';
import { readLicenceKey } from './licence-key.js';
import { OrderEffects } from './order-effects.service.js';
import { canBecome } from './order-status.js';
import type { Order } from './order.js';
import {
  findLicence,
  findOrder,
  forgetBuyer,
  forgetMarkOfUncounted,
  forgetMarks,
  forgetOldMarks,
  getLocked,
  getOrder,
  holdOrders,
  listOrders,
  type Licence,
  type OrderPage,
} from './orders.queries.js';
import { ReceiptsService } from './receipts.service.js';
import { ERASED } from '../subscribers/erased.js';

/** The mark of a browser is another one each day: later it finds no order. */
const MARK_KEPT_MS = 86_400_000;

/** Money comes in. With `RefundsService`, which writes down what goes back, the only writer of `orders` and `order_line`. */
@Injectable()
export class OrdersService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly subscribers: SubscribersService,
    private readonly effects: OrderEffects,
    private readonly receipts: ReceiptsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async findById(id: string): Promise<Order | null> {
    return findOrder(this.dataSource.manager, id);
  }

  /**
   * From what a buyer typed: in any case, with or without hyphens. Throws `LICENCE_INVALID` for what was never issued, as
   * its check character does not fit, and `LICENCE_NOT_FOUND`.
   */
  async licence(typed: string): Promise<Licence> {
    const key = readLicenceKey(typed);
    if (key === null)
      throw new DomainError('LICENCE_INVALID', 'This is no licence key: a character is wrong or missing');
    const licence = await findLicence(this.dataSource.manager, key);
    if (licence) return licence;
    throw notFound('licence', key, 'key');
  }

  /** Newest first; `beforeId` is the last one the caller has seen. */
  async list(page: OrderPage): Promise<Order[]> {
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
      const order = await getLocked(manager, orderId);
      if (!canBecome(order.status, 'paid')) return order;
      const buyer = await this.buyer(manager, order);
      const buyerId = buyer?.id ?? null;
      await manager.query(
        `update orders set status = 'paid', provider = $2, provider_ref = $3, paid_at = $4, subscriber_id = $5 where id = $1`,
        [orderId, provider, providerRef, this.clock.now(), buyerId],
      );
      await this.effects.paid(manager, order, buyer);
      // An open order is bound to its browser; a paid one needs that no longer.
      await forgetMarkOfUncounted(manager, orderId, [buyerId, order.subscriberId]);
      const paid = await getOrder(manager, orderId);
      if (buyerId !== null) await this.receipts.plan(manager, { ...paid, subscriberId: buyerId });
      return paid;
    });
  }

  /** A refused payment. An order that is paid stays paid: the refusal was of another attempt. */
  async markDeclined(orderId: string): Promise<Order> {
    return this.dataSource.transaction(async (manager) => {
      const order = await getLocked(manager, orderId);
      if (!canBecome(order.status, 'declined')) return order;
      await manager.query(`update orders set status = 'declined' where id = $1`, [orderId]);
      return { ...order, status: 'declined' };
    });
  }

  /** Before anything else of an erasure: no order of the person is paid or refunded until it ends. */
  async hold(manager: EntityManager, person: { subscriberId: string; email: string }): Promise<void> {
    await holdOrders(manager, person);
  }

  /** Within the erasure of a person: the books keep their orders, without a way from the address to them. */
  async forget(manager: EntityManager, person: { subscriberId: string; email: string }): Promise<void> {
    await forgetClicks(manager, await forgetBuyer(manager, person));
  }

  /** The person is not counted any more: nothing ties their orders to what their browser looked at. */
  async forgetMarks(manager: EntityManager, subscriberId: string): Promise<void> {
    await forgetMarks(manager, subscriberId, this.marksKeptSince());
  }

  /** Of orders that were never paid, by people who are not counted. */
  async forgetOldMarks(): Promise<void> {
    await forgetOldMarks(this.dataSource.manager, this.marksKeptSince());
  }

  private marksKeptSince(): Date {
    return new Date(this.clock.now().getTime() - MARK_KEPT_MS);
  }

  /**
   * A purchase is no consent: a buyer we did not know is entered as pending and gets no marketing. Null
   * for somebody who was erased between ordering and paying: the money counts, nobody is entered again.
   */
  private async buyer(manager: EntityManager, order: Order): Promise<{ id: string; isNew: boolean } | null> {
    if (order.email === ERASED) return null;
    const email = parseEmailAddress(order.email);
    if (!email.ok) throw new Error(`order ${order.id} was stored with an address that cannot be read`);
    const { id, created } = await this.subscribers.upsert(manager, {
      email,
      ...(order.name === null ? {} : { name: order.name }),
    });
    return { id, isNew: created };
  }
}
