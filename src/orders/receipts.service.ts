import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { MessagesService } from '../delivery/planning/messages.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { FilesService, type Download } from '../infra/files/files.service.js';
import { OffersService } from '../offers/offers.service.js';
import { addressHash } from '../subscribers/address-hash.js';
import { parseEmailAddress } from '../values/email-address.js';
import { formatMoney } from '../values/money.js';
import { MembershipsService } from './memberships/memberships.service.js';
import { DOWNLOAD_MS, orderToken } from './order-token.js';
import type { Order, OrderLine } from './order.js';

/** Hands over what was bought: the links of the thanks page and the receipt, which says the same by mail. */
@Injectable()
export class ReceiptsService {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly files: FilesService,
    private readonly offers: OffersService,
    private readonly messages: MessagesService,
    private readonly memberOf: MembershipsService,
  ) {}

  /**
   * Fresh links, valid for seven days from now and until the product is taken back. A file that two products share is listed
   * once.
   */
  async downloads(orders: readonly Order[], manager?: EntityManager): Promise<Download[]> {
    const bought = orders.flatMap(({ id, lines }) =>
      lines.filter(isKept).flatMap(({ fileIds }) => fileIds.map((fileId): [string, string] => [fileId, id])),
    );
    const orderOf = new Map(bought);
    const expiresAt = new Date(this.clock.now().getTime() + DOWNLOAD_MS);
    return this.files.downloads([...orderOf.keys()], { expiresAt, orderOf }, manager);
  }

  /** What the order made the buyer a member of and still does, until when; null: for good. */
  async memberships(
    { subscriberId, lines }: Order,
    manager?: EntityManager,
  ): Promise<{ product: string; until: string | null }[]> {
    const granting = lines.filter((line) => line.membership !== null && isKept(line));
    if (subscriberId === null || granting.length === 0) return [];
    const ids = granting.map(({ productId }) => productId);
    const running = await this.memberOf.running(subscriberId, ids, manager);
    return granting.flatMap(({ productId, name }) => {
      const own = running.find((one) => one.productId === productId);
      return own === undefined ? [] : [{ product: name, until: own.endsAt?.toISOString() ?? null }];
    });
  }

  /** Path of the page with the downloads of a paid order. */
  orderPath(order: Order): string {
    const from = order.paidAt ?? order.createdAt;
    return `/order/${orderToken(this.config.secretKey, 'order-page', { id: order.id, from })}`;
  }

  /**
   * Plans the receipt of a paid order, once; delivery is woken when the transaction commits. An offer without a receipt
   * mail delivers on the thanks page alone.
   */
  async plan(manager: EntityManager, order: Order & { subscriberId: string }): Promise<void> {
    const offer = await this.offers.findById(order.offerId, manager);
    const templateId = offer?.content.receiptTemplateId;
    const email = parseEmailAddress(order.email);
    if (!offer || templateId === undefined || !email.ok) return;
    await this.messages.plan(manager, [
      {
        dedupeKey: `receipt:${order.id}`,
        class: 'transactional',
        kind: 'receipt',
        subscriberId: order.subscriberId,
        funnelKey: order.funnelKey,
        templateId,
        data: {
          order: {
            ...orderSummary(order),
            downloads: await this.downloads([order], manager),
            memberships: await this.memberships(order, manager),
            url: this.config.baseUrl + this.orderPath(order),
          },
        },
        sender: offer.sender,
        address: email.address,
        addressHash: addressHash(this.config.secretKey, email.key),
        dueAt: this.clock.now(),
      },
    ]);
  }
}

/** What the thanks page and the receipt print: each amount as text and as money. */
export function orderSummary(order: Order): Record<string, unknown> {
  return {
    number: order.number,
    total: order.total,
    totalText: formatMoney(order.total, 'en'),
    ...(order.refunded.amountMinor === 0 ? {} : { refunded: order.refunded }),
    lines: order.lines.map((line) => {
      const { name, amount } = line;
      return { name, amount, amountText: formatMoney(amount, 'en'), isTakenBack: !isKept(line) };
    }),
    licences: order.lines
      .filter(isKept)
      .flatMap(({ name, licenceKey }) => (licenceKey === null ? [] : [{ product: name, key: licenceKey }])),
  };
}

/** A product that was taken back is not the buyer's any more, whatever else of the order is. */
function isKept({ takenBackAt }: OrderLine): boolean {
  return takenBackAt === null;
}
