import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AdvanceService } from './advance.service.js';
import { EnrollingService } from './enrolling.service.js';
import { ReactionsService } from './reactions.service.js';

export { ADVANCE_DUE } from './enrolling.service.js';

/** Who is in which sequence: what other modules ask and tell. Owns `enrollment` and its step and offer records. */
@Injectable()
export class EnrollmentsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly enrolling: EnrollingService,
    private readonly reactions: ReactionsService,
    private readonly advancing: AdvanceService,
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

  /** As `AdvanceService.advanceDue`. */
  async advanceDue(limit: number): Promise<number> {
    return this.advancing.advanceDue(limit);
  }

  /** As `AdvanceService.advanceAllDue`. */
  async advanceAllDue(until: { deadline: number; signal: AbortSignal }): Promise<number> {
    return this.advancing.advanceAllDue(until);
  }

  /** Buying what the sequence leads to ends it at once, and what was planned is not sent. */
  async exitOnPurchase(manager: EntityManager, subscriberId: string, productKey: string): Promise<void> {
    await this.reactions.happened(manager, [subscriberId], { kind: 'purchased', product: productKey });
  }

  async exitOnUnsubscribe(manager: EntityManager, subscriberId: string): Promise<void> {
    await this.reactions.leave(manager, { subscriberId, funnelKey: null, reason: 'unsubscribed' });
  }

  /** The person does not want this funnel's mails any more, but others'. */
  async exitOnTopicOptOut(manager: EntityManager, subscriberId: string, funnelKey: string): Promise<void> {
    await this.reactions.leave(manager, { subscriberId, funnelKey, reason: 'topic opt-out' });
  }

  /** The offer as it was granted to this subscriber last; null when no step granted it. */
  async offerTerms(subscriberId: string, offerSlug: string): Promise<{ expiresAt: Date | null } | null> {
    const rows: { expiresAt: Date | null }[] = await this.dataSource.query(
      `select expires_at as "expiresAt" from enrollment_offer where subscriber_id = $1 and offer_slug = $2
       order by created_at desc limit 1`,
      [subscriberId, offerSlug],
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
