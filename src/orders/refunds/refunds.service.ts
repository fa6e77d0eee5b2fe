import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { DomainError } from '../../values/domain-error.js';
import { type Money, moneyOf, moneyToText } from '../../values/money.js';
import { OrderEffects } from '../order-effects.service.js';
import type { Order } from '../order.js';
import { canBecome } from '../order-status.js';
import { getLocked, getOrder } from '../orders.queries.js';
import { CreditNotesService } from './credit-notes.service.js';
import {
  type RefundPlan,
  type RefundRefusal,
  type RefundRequest,
  type RefundWish,
  refundOf,
  wishText,
} from './refund.js';
import { findRefund, insertRefund } from './refunds.queries.js';

/** Money that goes back, whole or in parts. It moves none itself: that is done where it was paid. */
@Injectable()
export class RefundsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly effects: OrderEffects,
    private readonly creditNotes: CreditNotesService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * In one transaction: the refund and its parts, what affiliates lose by it, the credit note, and where a product goes
   * back what follows from having bought it. A refund of the rest of an order that is refunded whole changes nothing, nor
   * does one whose key was told before with the same wish. Throws `ORDER_NOT_FOUND`, `ORDER_REFUND_CONFLICT` for an order that nobody has paid,
   * for more than is left, for another refund under a key that was told, and for a page that is out of date, `ORDER_LINE_NOT_FOUND` and `REFUND_AMOUNT_INVALID`.
   */
  async refund(orderId: string, request: RefundRequest): Promise<Order> {
    const templateId = await this.creditNotes.templateId();
    return this.dataSource.transaction(async (manager) => {
      const order = await getLocked(manager, orderId);
      const wish = wishOf(order, request);
      if (await this.wasTold(manager, order, { request, wish })) return order;
      if (order.status === 'refunded' && wish.kind === 'rest') return order;
      if (!canBecome(order.status, 'refunded')) {
        const message = `Order ${order.number} is ${order.status}; only a paid order is refunded`;
        throw conflict(message, { orderId, status: order.status });
      }
      const { seenMinor } = request;
      if (seenMinor !== undefined && seenMinor !== order.refunded.amountMinor)
        throw conflict(`More of order ${order.number} has gone back meanwhile`, { orderId });
      return this.record(manager, order, { plan: planOf(order, wish), wish, request, templateId });
    });
  }

  private async record(
    manager: EntityManager,
    order: Order,
    {
      plan,
      wish,
      request,
      templateId,
    }: { plan: RefundPlan; wish: RefundWish; request: RefundRequest; templateId: string },
  ): Promise<Order> {
    const { id: orderId, total } = order;
    const { reason = null, key = null } = request;
    const at = this.clock.now();
    const refund = { orderId, currency: total.currency, key, wish: wishText(wish), reason, at };
    const refundId = await insertRefund(manager, refund, plan);
    const refunded = await getOrder(manager, orderId);
    await this.effects.refunded(manager, refunded, { takenBack: plan.takenBack, refundId });
    const { takenBack } = plan;
    await this.creditNotes.plan(manager, refunded, { refundId, takenBack, templateId });
    return getOrder(manager, orderId);
  }

  private async wasTold(
    manager: EntityManager,
    order: Order,
    { request: { key }, wish }: { request: RefundRequest; wish: RefundWish },
  ): Promise<boolean> {
    const before = key === undefined ? null : await findRefund(manager, order.id, key);
    if (before === null) return false;
    // Of a refund from before wishes were kept the amount is known and nothing else.
    const isSame =
      before.wish === null
        ? wish.kind !== 'amount' || wish.amountMinor === before.amountMinor
        : wishText(wish) === before.wish;
    if (isSame) return true;
    throw conflict(`Another refund of order ${order.number} was told under this key; give each its own`, {
      orderId: order.id,
    });
  }
}

function wishOf({ total }: Order, { amount, lines }: RefundRequest): RefundWish {
  const minorOf = (money: Money, field: string): number => {
    if (money.currency === total.currency) return money.amountMinor;
    throw invalid(field, `the order was paid in ${total.currency}`);
  };
  if (amount !== undefined && lines !== undefined)
    throw invalid('lines', 'name an amount or lines, not both');
  if (amount !== undefined) return { kind: 'amount', amountMinor: minorOf(amount, 'amount') };
  if (lines === undefined) return { kind: 'rest' };
  return {
    kind: 'lines',
    lines: lines.map(({ lineId, amount: part }, index) => ({
      lineId,
      amountMinor: part === undefined ? null : minorOf(part, `lines.${index}.amount`),
    })),
  };
}

function planOf({ id, number, lines, total }: Order, wish: RefundWish): RefundPlan {
  const plan = refundOf(
    lines.map((line) => ({
      id: line.id,
      amountMinor: line.amount.amountMinor,
      refundedMinor: line.refunded.amountMinor,
      isTakenBack: line.takenBackAt !== null,
    })),
    wish,
  );
  if ('refusal' in plan) throw refused(plan, { id, number, currency: total.currency });
  return plan;
}

function refused(
  reason: RefundRefusal,
  { id, number, currency }: { id: string; number: string; currency: string },
): DomainError {
  switch (reason.refusal) {
    case 'unknown-line':
      return new DomainError('ORDER_LINE_NOT_FOUND', `Order ${number} has no line ${reason.lineId}`, {
        orderId: id,
        lineId: reason.lineId,
      });
    case 'too-much': {
      const rest = moneyToText(moneyOf(reason.restMinor, currency));
      const where = reason.lineId === null ? `order ${number}` : `line ${reason.lineId} of order ${number}`;
      return conflict(`At most ${rest} of ${where} can go back`, { orderId: id });
    }
    case 'nothing':
      return conflict(`Nothing of order ${number} would go back`, { orderId: id });
  }
}

function conflict(message: string, facts: Record<string, unknown>): DomainError {
  return new DomainError('ORDER_REFUND_CONFLICT', message, facts);
}

function invalid(field: string, reason: string): DomainError {
  return new DomainError('REFUND_AMOUNT_INVALID', `${field}: ${reason}`, { field });
}
