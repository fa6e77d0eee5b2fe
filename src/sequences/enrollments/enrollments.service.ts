import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AdvanceService } from '../advance/advance.service.js';
import { EnrollingService } from './enrolling.service.js';
import { EXIT } from '../steps/exit-reasons.js';
import { HitWaitsService } from '../events/hit-waits.service.js';
import type { Promised } from '../steps/progress.js';
import { promisesSql } from '../offers/promises.queries.js';
import { ReactionsService } from '../events/reactions.service.js';

export { ADVANCE_DUE } from './enrolling.service.js';

/** More than may be under way at once, and what a process that has just begun looks at. */
const LATEST_WITHDRAWALS = 100_000;
const LATEST_BOUNCES = 10_000;

/** Who is in which sequence: what other modules ask and tell. Owns `enrollment` and its step and offer records. */
@Injectable()
export class EnrollmentsService {
  /** The newest entry of `consent_event` when it was last looked at. */
  #lookedTo: string | null = null;
  #bouncesLookedTo: string | null = null;

  constructor(
    private readonly dataSource: DataSource,
    private readonly enrolling: EnrollingService,
    private readonly reactions: ReactionsService,
    private readonly advancing: AdvanceService,
    private readonly hits: HitWaitsService,
  ) {}

  /**
   * Joins the current version of the sequence. Who has been in it before joins again only where the sequence says so.
   * Throws `SEQUENCE_NOT_FOUND`.
   */
  async enroll(
    manager: EntityManager,
    {
      sequenceKey,
      subscriberId,
      data,
      entryKey,
    }: { sequenceKey: string; subscriberId: string; data: Record<string, unknown>; entryKey?: string },
  ): Promise<'enrolled' | 'already_enrolled'> {
    const newcomer = { subscriberId, data: JSON.stringify(data), entryKey };
    const joined = await this.enrolling.join(manager, sequenceKey, [newcomer]);
    return joined.length === 1 ? 'enrolled' : 'already_enrolled';
  }

  /** As `AdvanceService.advanceDue`; who waits for what has come is due, too. */
  async advanceDue(limit: number): Promise<number> {
    await this.hits.notice();
    return this.advancing.advanceDue(limit);
  }

  /** As `AdvanceService.advanceAllDue`; who waits for what has come is due, too. */
  async advanceAllDue(until: { deadline: number; signal: AbortSignal }): Promise<number> {
    await this.hits.notice();
    return this.advancing.advanceAllDue(until);
  }

  /**
   * Buying what a sequence leads to ends it at once, and what was planned is not sent. It begins others, where people may
   * be in them once per event once for each order.
   */
  async exitOnPurchase(
    manager: EntityManager,
    subscriberId: string,
    { productKey, orderId }: { productKey: string; orderId: string },
  ): Promise<void> {
    const trigger = { kind: 'purchased', product: productKey } as const;
    await this.reactions.happened(manager, [subscriberId], trigger, { entryKey: `order:${orderId}` });
  }

  /** As `exitOnPurchase`, of whose mail somebody else has bought by: it begins nothing for them, and what leads to it ends. */
  async exitOfReader(manager: EntityManager, subscriberId: string, productKey: string): Promise<void> {
    await this.reactions.met(manager, [subscriberId], { kind: 'purchased', product: productKey });
  }

  /** The money went back, and nothing is left of the products: as a purchase, it ends and begins sequences. */
  async purchaseUndone(
    manager: EntityManager,
    subscriberId: string,
    { products, refundId }: { products: readonly string[]; refundId: string },
  ): Promise<void> {
    for (const product of products)
      await this.reactions.happened(
        manager,
        [subscriberId],
        { kind: 'refunded', product },
        { entryKey: `refund:${refundId}` },
      );
    await this.reactions.lookAgain(manager, [subscriberId]);
  }

  async exitOnUnsubscribe(manager: EntityManager, subscriberId: string): Promise<void> {
    await this.reactions.leave(manager, { subscriberId, funnelKey: null, reason: EXIT.unsubscribed() });
  }

  /**
   * Ends the sequences of people who have left by a way that does not end them itself, such as a mail to the unsubscribe
   * address or an import of many who left. Looks at the withdrawals since the last look, and once more at the latest of
   * those before, which may have been committed since; by the primary key of `consent_event`.
   */
  async exitLeft(): Promise<void> {
    const [latest]: { id: string | null }[] = await this.dataSource.query(
      'select max(id) as id from consent_event',
    );
    const rows: { id: string }[] = await this.dataSource.query(
      `select distinct e.subscriber_id as id from consent_event c join subscriber s on s.id = c.subscriber_id
         join enrollment e on e.subscriber_id = s.id and e.status = 'active'
       where c.id > least($2::bigint, (select max(id) - $1::int from consent_event)) and c.kind = 'withdrawn'
         and c.purpose = 'marketing' and s.status = 'unsubscribed' order by 1`,
      [LATEST_WITHDRAWALS, this.#lookedTo],
    );
    this.#lookedTo = latest?.id ?? null;
    for (const { id } of rows)
      await this.dataSource.transaction(async (manager) => this.exitOnUnsubscribe(manager, id));
    await this.exitGivenUp();
  }

  /** As `exitLeft`, of those whose address was given up for a bounce or a complaint; by the primary key of `bounce`. */
  private async exitGivenUp(): Promise<void> {
    const [latest]: { id: string | null }[] = await this.dataSource.query('select max(id) as id from bounce');
    const rows: { id: string; status: string }[] = await this.dataSource.query(
      `select distinct s.id, s.status from bounce b join subscriber s on s.id = b.subscriber_id
         join enrollment e on e.subscriber_id = s.id and e.status = 'active'
       where b.id > least($2::bigint, (select max(id) - $1::int from bounce)) and s.status in ('bounced', 'complained')
       order by 1`,
      [LATEST_BOUNCES, this.#bouncesLookedTo],
    );
    this.#bouncesLookedTo = latest?.id ?? null;
    for (const { id, status } of rows)
      await this.dataSource.transaction(async (manager) =>
        this.reactions.leave(manager, {
          subscriberId: id,
          funnelKey: null,
          reason: EXIT.notActive(status),
        }),
      );
  }

  /** The person does not want this funnel's mails any more, but others'. */
  async exitOnTopicOptOut(manager: EntityManager, subscriberId: string, funnelKey: string): Promise<void> {
    await this.reactions.leave(manager, { subscriberId, funnelKey, reason: EXIT.topic() });
  }

  /**
   * The pause ended before its time: what came up in it, and waited for its end since, comes now. Steps whose time has not
   * come were never touched.
   */
  async resume(
    manager: EntityManager,
    subscriberId: string,
    { pausedUntil, now }: { pausedUntil: Date; now: Date },
  ): Promise<void> {
    await manager.query(
      `update enrollment set next_at = $3 where subscriber_id = $1 and status = 'active' and next_at = $2`,
      [subscriberId, pausedUntil, now],
    );
  }

  /** What mails have promised this subscriber about the offer; null when none has. */
  async promised(subscriberId: string, offerSlug: string, now: Date): Promise<Promised | null> {
    const rows: Promised[] = await this.dataSource.query(
      promisesSql({ subscriberId: '$1', slug: '$2', now: '$3' }),
      [subscriberId, offerSlug, now],
    );
    return rows[0] ?? null;
  }

  /** When the next step of anybody is due; null when nobody is in a sequence. */
  async nextDueAt(): Promise<Date | null> {
    const rows: { at: Date | null }[] = await this.dataSource.query(
      `select min(next_at) as at from enrollment where status = 'active'`,
    );
    return rows[0]?.at ?? null;
  }
}
