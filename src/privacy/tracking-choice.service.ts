import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { retriedAfterDeadlock } from '../infra/database/deadlock.js';
import { doEachTaken } from '../infra/database/each-taken.js';
import { OrdersService } from '../orders/orders.service.js';
import { takeSeenToForget } from '../subscribers/subscribers.queries.js';
import type { ConsentWords } from '../subscribers/subscriber.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';
import { TrackingService } from '../tracking/tracking.service.js';
import { TRACKING_WORDS } from './preferences.js';

/** Of a decision: where it was made. */
export interface Evidence {
  ip: string;
  userAgent: string;
  pageUrl: string;
}

const TRIES = 5;

/** Whether somebody is counted. */
@Injectable()
export class TrackingChoiceService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly subscribers: SubscribersService,
    private readonly tracking: TrackingService,
    private readonly orders: OrdersService,
  ) {}

  /**
   * In force at once. Who takes the consent back takes it back for what was seen under it as well: nothing else would
   * allow to keep it (GDPR Art. 17(1)(b)). What stays has a ground of its own: sign-ups and orders, with the mail that led
   * to them, and by whose link somebody came, which an affiliate is paid for. Throws `SUBSCRIBER_NOT_FOUND`.
   */
  async save(
    manager: EntityManager,
    subscriberId: string,
    allowed: boolean,
    evidence: Evidence,
  ): Promise<void> {
    await this.decide(manager, subscriberId, { ...evidence, allowed, consentText: TRACKING_WORDS });
  }

  /** Told to the owner, by a letter say. The other way round it takes the person. Throws `SUBSCRIBER_NOT_FOUND`. */
  async stop(subscriberId: string, by: 'owner' | 'api'): Promise<void> {
    const decision = { allowed: false, pageUrl: by };
    await retriedAfterDeadlock(TRIES, async () =>
      this.dataSource.transaction(async (manager) => this.decide(manager, subscriberId, decision)),
    );
  }

  private async decide(
    manager: EntityManager,
    subscriberId: string,
    decision: ConsentWords & { allowed: boolean },
  ): Promise<void> {
    const { allowed } = decision;
    // As a payment does: their orders first, then the person. The other way round the two would wait for each other.
    if (!allowed) await this.orders.forgetMarks(manager, subscriberId);
    const isNew = await this.subscribers.setTrackingConsent(manager, subscriberId, decision);
    if (isNew && !allowed) await this.tracking.forgetSeen(manager, subscriberId);
  }
  /** Of those who said so in an imported table: the import stands before all that sees people, and cannot reach it. */
  async forgetDeclined(signal: AbortSignal): Promise<void> {
    await doEachTaken<string>(this.dataSource, signal, async (manager, after) => {
      const subscriberId = await takeSeenToForget(manager, after);
      if (subscriberId === null) return null;
      const work = async (): Promise<void> => {
        await this.orders.forgetMarks(manager, subscriberId);
        await this.tracking.forgetSeen(manager, subscriberId);
      };
      return { key: subscriberId, work };
    });
  }
}
