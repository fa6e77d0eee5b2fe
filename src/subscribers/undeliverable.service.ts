import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { Wake } from '../infra/jobs/wake.js';
import { EXIT_LEFT } from './leave.service.js';
import type { Subscriber, Suppression } from './subscriber.js';
import { lockSubscriber } from './subscribers.queries.js';
import { SubscribersService } from './subscribers.service.js';
import { nextStatus } from './subscription-status.js';
import { SuppressionsService } from './suppressions.service.js';
import { DomainError } from '../values/domain-error.js';
import { notFound } from '../values/not-found.js';

const EVENTS = { hard_bounce: 'bounce', soft_bounce: 'bounce', complaint: 'complain' } as const;

/** An address that is given up because of what came back from it: status and suppression change together. */
@Injectable()
export class UndeliverableService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly suppressions: SuppressionsService,
    private readonly subscribers: SubscribersService,
    private readonly wake: Wake,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * In force when the caller's transaction commits: the send barrier reads both. Idempotent. The suppression is by the
   * hash of the address the mail went to, so it also holds for somebody who was erased or has another address by now;
   * the status changes only of a subscriber who still has that address; one who has another by now and complains has left. Mails that did not arrive, though no server called
   * the address dead, end marketing: a receipt or a confirmation is tried still.
   */
  async giveUp(
    manager: EntityManager,
    reason: keyof typeof EVENTS,
    about: { addressHash: Buffer; subscriberId: string | null; source: Suppression['source'] },
  ): Promise<void> {
    const { addressHash: emailHash, subscriberId, source } = about;
    const subscriber = subscriberId === null ? null : await lockSubscriber(manager, subscriberId);
    const scope = reason === 'soft_bounce' ? 'marketing' : 'all';
    await this.suppressions.addHash(manager, { emailHash, scope, reason, source });
    if (subscriber === null) return;
    if (!this.suppressions.hash(subscriber.emailKey).equals(emailHash)) {
      // Who calls a mail spam wants no more of them, wherever they are read by now. That one came back says nothing of the new address.
      if (reason === 'complaint' && (await this.subscribers.unsubscribe(manager, subscriber.id, 'report')))
        await this.wake.notify(manager, EXIT_LEFT);
      return;
    }
    const status = nextStatus(subscriber.status, EVENTS[reason]);
    if (status === null || status === subscriber.status) return;
    await manager.query(`update subscriber set status = $2, updated_at = $3 where id = $1`, [
      subscriber.id,
      status,
      this.clock.now(),
    ]);
    await this.wake.notify(manager, EXIT_LEFT);
  }

  /**
   * The owner's decision to write again to somebody whose mails did not arrive. Their sequences ended and are not begun
   * anew. The next mail that fails within the month ends it again, as the mails before it still count.
   * Throws `SUBSCRIBER_NOT_FOUND`, and `SUBSCRIBER_COMEBACK_CONFLICT` for an address that is dead, and for somebody who
   * complained, has left or did not bounce.
   */
  async writeAgain(subscriberId: string): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      const subscriber = await lockSubscriber(manager, subscriberId);
      if (!subscriber) throw notFound('subscriber', subscriberId);
      if (!(await this.mayBeWrittenAgain(subscriber, manager)))
        throw new DomainError(
          'SUBSCRIBER_COMEBACK_CONFLICT',
          'Only somebody whose mails did not arrive several times in a row, and whose address no server called dead, can be written to again',
          { id: subscriberId, status: subscriber.status },
        );
      await this.suppressions.liftSoft(manager, subscriber.emailKey);
      await manager.query(
        `update subscriber set status = case when confirmed_at is null then 'pending' else 'active' end, updated_at = $2 where id = $1`,
        [subscriberId, this.clock.now()],
      );
    });
  }

  /** Who has left since is not: a decision of the owner takes no other one's place. Without an entry: see `mayComeBack`. */
  async mayBeWrittenAgain(
    { status, emailKey }: Pick<Subscriber, 'status' | 'emailKey'>,
    manager?: EntityManager,
  ): Promise<boolean> {
    if (status !== 'bounced') return false;
    const entries = await this.suppressions.of(emailKey, manager);
    return entries.every(({ reason }) => reason === 'soft_bounce');
  }
}
