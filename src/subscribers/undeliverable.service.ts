import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { Wake } from '../infra/jobs/wake.js';
import { EXIT_LEFT } from './leave.service.js';
import type { Suppression } from './subscriber.js';
import { lockSubscriber } from './subscribers.queries.js';
import { nextStatus } from './subscription-status.js';
import { SuppressionsService } from './suppressions.service.js';

const EVENTS = { hard_bounce: 'bounce', complaint: 'complain' } as const;

/** An address that is given up because of what came back from it: status and suppression change together. */
@Injectable()
export class UndeliverableService {
  constructor(
    private readonly suppressions: SuppressionsService,
    private readonly wake: Wake,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * In force when the caller's transaction commits: the send barrier reads both. Idempotent. The suppression is by the
   * hash of the address the mail went to, so it also holds for somebody who was erased or has another address by now;
   * the status changes only of a subscriber who still has that address.
   */
  async giveUp(
    manager: EntityManager,
    reason: keyof typeof EVENTS,
    about: { addressHash: Buffer; subscriberId: string | null; source: Suppression['source'] },
  ): Promise<void> {
    const { addressHash: emailHash, subscriberId, source } = about;
    const subscriber = subscriberId === null ? null : await lockSubscriber(manager, subscriberId);
    await this.suppressions.addHash(manager, { emailHash, scope: 'all', reason, source });
    if (!subscriber || !this.suppressions.hash(subscriber.emailKey).equals(emailHash)) return;
    const status = nextStatus(subscriber.status, EVENTS[reason]);
    if (status === null || status === subscriber.status) return;
    await manager.query(`update subscriber set status = $2, updated_at = $3 where id = $1`, [
      subscriber.id,
      status,
      this.clock.now(),
    ]);
    await this.wake.notify(manager, EXIT_LEFT);
  }
}
