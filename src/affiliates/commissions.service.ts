import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { notFound } from '../values/not-found.js';
import { addDuration, parseDuration } from '../values/duration.js';
import { parseEmailAddress } from '../values/email-address.js';
import { mailboxOf } from '../values/mailbox.js';
import { AffiliateTermsService, USUAL_WAY } from './affiliate-terms.service.js';
import { clawedBackOf, commissionsOf, type Party } from './commission.js';
import type { CommissionRecord } from './commission-record.js';
import {
  type CommissionPage,
  commissionsOfOrder,
  emailKeysOf,
  findCommission,
  insertCommissions,
  listCommissions,
  lockCommissions,
  type PartyRow,
  partiesOf,
} from './commissions.queries.js';
import { forgetPaidOff } from './forget.queries.js';
import { ReferralsService } from './referrals.service.js';

/** As much of a paid order as decides who earns by it. */
interface PaidOrder {
  id: string;
  funnelKey: string;
  currency: string;
  /** When the checkout was sent: the window of a click is open then or not, however long the payment takes. */
  placedAt: Date;
  /** The address typed at the checkout. */
  email: string;
  /** Null for somebody who was erased meanwhile. `isNew`: nobody knew them before this payment. */
  buyer: { id: string; isNew: boolean } | null;
  /** Whose mail led to the order. */
  readerId: string | null;
  /** Amounts after discounts. Prices are what customers pay: no tax is known that could be taken off. */
  lines: readonly { id: string; netMinor: number }[];
}

/** What affiliates earn by orders. The only writer of `commission` and `clawback`, but for the payout that settles them. */
@Injectable()
export class CommissionsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly terms: AffiliateTermsService,
    private readonly referrals: ReferralsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * In the transaction in which an order is paid. The affiliate is that of the last click before the checkout, or of the
   * first, as the funnel says, by the browser or by the subscriber, within the window of the funnel. Told twice, it earns
   * once.
   */
  async settle(manager: EntityManager, order: PaidOrder): Promise<void> {
    const people = [order.buyer?.id ?? null, order.readerId].filter((id) => id !== null);
    const terms = await this.terms.of(order.funnelKey, manager);
    const { cookie: window, attribution } = terms ?? USUAL_WAY;
    const found = await this.referrals.touchOf(manager, {
      ...{ orderId: order.id, placedAt: order.placedAt, window, attribution, subscriberIds: people },
    });
    if (found === null) return;
    const { touch, clicks } = found;
    // Only money proves who it was: anybody may type the address of another at a checkout that is free.
    const isProven = order.lines.some(({ netMinor }) => netMinor > 0);
    if (order.buyer !== null && (isProven || order.buyer.isNew))
      await this.referrals.keep(manager, order.buyer.id, { ...clicks, source: 'checkout', isProven });
    if (terms === null) return;
    const { affiliate, recruiter } = await partiesOf(manager, touch.affiliateId);
    if (affiliate === null) return;
    const mailboxes = await this.mailboxesOf(manager, order, people);
    const party = ({ id, mailbox, isActive }: PartyRow): Party => ({
      affiliateId: id,
      isActive,
      isBuyer: mailbox !== null && mailboxes.has(mailbox),
    });
    const earned = commissionsOf({
      lines: order.lines,
      rates: terms,
      affiliate: party(affiliate),
      recruiter: recruiter === null ? null : party(recruiter),
    });
    const now = this.clock.now();
    const dueAt = addDuration(now, parseDuration(terms.hold), 'UTC');
    const { id, currency } = order;
    await insertCommissions(manager, earned, {
      id,
      currency,
      via: touch.via,
      attribution,
      touchedAt: touch.at,
      dueAt,
      now,
    });
  }

  /**
   * In the transaction of a refund. `refundedOf`: what has gone back in all of each line of the order, in minor units; both
   * tiers lose that share of what they earned by the line. What is due already, or was paid out, is taken off what becomes
   * due next.
   */
  async clawBack(
    manager: EntityManager,
    orderId: string,
    refundedOf: ReadonlyMap<string, number>,
  ): Promise<void> {
    const now = this.clock.now();
    for (const commission of await lockCommissions(manager, orderId)) {
      const { lineId, baseMinor: totalMinor, amountMinor, clawedBackMinor } = commission;
      const refund = { refundedMinor: refundedOf.get(lineId) ?? 0, totalMinor };
      const amount = clawedBackOf(amountMinor, refund) - clawedBackMinor;
      if (amount <= 0) continue;
      // In the hold it meets what it takes back on the day that becomes due.
      const dueAt = commission.dueAt > now ? commission.dueAt : now;
      await manager.query(
        `insert into clawback (commission_id, affiliate_id, amount_minor, currency, due_at, created_at)
         values ($1, $2, $3, $4, $5, $6)`,
        [commission.id, commission.affiliateId, amount, commission.currency, dueAt, now],
      );
      await forgetPaidOff(manager, commission.affiliateId);
    }
  }

  /** Throws `COMMISSION_NOT_FOUND`. */
  async get(id: string): Promise<CommissionRecord> {
    const found = await findCommission(this.dataSource.manager, id);
    if (found) return found;
    throw notFound('commission', id);
  }

  async ofOrder(orderId: string): Promise<CommissionRecord[]> {
    return commissionsOfOrder(this.dataSource.manager, orderId);
  }

  async list(page: CommissionPage): Promise<CommissionRecord[]> {
    return listCommissions(this.dataSource.manager, page);
  }

  private async mailboxesOf(
    manager: EntityManager,
    order: PaidOrder,
    people: readonly string[],
  ): Promise<Set<string>> {
    const typed = parseEmailAddress(order.email);
    const keys = [...(typed.ok ? [typed.key] : []), ...(await emailKeysOf(manager, people))];
    return new Set(keys.map(mailboxOf));
  }
}
