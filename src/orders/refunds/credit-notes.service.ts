import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { MessagesService } from '../../delivery/planning/messages.service.js';
import { TemplatesService } from '../../delivery/mails/templates.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { OffersService } from '../../offers/offers.service.js';
import { addressHash } from '../../subscribers/address-hash.js';
import { parseEmailAddress } from '../../values/email-address.js';
import type { Order, OrderRefund } from '../order.js';

const TEMPLATE = 'emails/credit-note';

/** Tells a buyer by mail what of an order has gone back. */
@Injectable()
export class CreditNotesService {
  #templateId: string | null = null;

  constructor(
    private readonly dataSource: DataSource,
    private readonly offers: OffersService,
    private readonly templates: TemplatesService,
    private readonly messages: MessagesService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Compiled and stored at the first refund. Called before the refund's transaction, so that it outlives one that fails. */
  async templateId(): Promise<string> {
    this.#templateId ??= await this.templates.publish(this.dataSource.manager, TEMPLATE);
    return this.#templateId;
  }

  /**
   * Plans the mail about one refund of the order, once. Who got no receipt by mail, as the offer has none or nobody knows
   * them any more, gets no credit note either; nor does a refund of nothing need one. `takenBack`: ids of lines.
   */
  async plan(
    manager: EntityManager,
    order: Order,
    {
      refundId,
      takenBack,
      templateId,
    }: { refundId: string; takenBack: readonly string[]; templateId: string },
  ): Promise<void> {
    const refund = order.refunds.find(({ id }) => id === refundId);
    const offer = await this.offers.findById(order.offerId, manager);
    const email = parseEmailAddress(order.email);
    if (refund === undefined || refund.amount.amountMinor === 0 || order.subscriberId === null) return;
    if (offer?.content.receiptTemplateId === undefined || !email.ok) return;
    await this.messages.plan(manager, [
      {
        dedupeKey: `credit-note:${refundId}`,
        class: 'transactional',
        kind: 'receipt',
        subscriberId: order.subscriberId,
        funnelKey: order.funnelKey,
        templateId,
        data: { order: creditNote(order, refund, takenBack) },
        sender: offer.sender,
        address: email.address,
        addressHash: addressHash(this.config.secretKey, email.key),
        dueAt: this.clock.now(),
      },
    ]);
  }
}

/** What the mail prints: the parts of this refund by line, what has gone back in all, and which products went with it or before. */
function creditNote(
  { number, total, refunded, lines }: Order,
  refund: OrderRefund,
  takenBack: readonly string[],
): Record<string, unknown> {
  const nameOf = new Map(lines.map(({ id, name }) => [id, name]));
  return {
    ...{ number, total, refunded },
    refund: {
      amount: refund.amount,
      lines: refund.lines.map(({ lineId, amount }) => ({ name: nameOf.get(lineId), amount })),
    },
    isAll: refunded.amountMinor === total.amountMinor,
    takenBack: takenBack.map((id) => nameOf.get(id)),
    hasLost: lines.some(({ takenBackAt }) => takenBackAt !== null),
  };
}
