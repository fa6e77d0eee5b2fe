import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { EnrollmentsService } from '../sequences/enrollments/enrollments.service.js';
import { KeptLeavings } from '../subscribers/kept-leavings.service.js';
import { LeaveService, type Leaving } from '../subscribers/leave.service.js';
import type { UnsubscribeSource } from '../subscribers/subscriber.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';

/** Leaving, and what it ends: status, suppression and sequences change in one transaction. */
@Injectable()
export class UnsubscribeService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly leave: LeaveService,
    private readonly kept: KeptLeavings,
    private readonly subscribers: SubscribersService,
    private readonly enrollments: EnrollmentsService,
  ) {}

  /**
   * As `LeaveService.leaveByToken`; `kept` while the database does not take it. Throws `LEAVING_UNAVAILABLE` when the disk does not
   * take it then.
   */
  async byToken(token: string, via: 'one_click' | 'page'): Promise<Leaving> {
    try {
      return await this.byTokenNow(token, via);
    } catch {
      // Whatever is at fault: it is tried again until it is done, and the owner is told when that takes long.
      return this.kept.keep(token, via);
    }
  }

  private async byTokenNow(token: string, via: UnsubscribeSource): Promise<Leaving> {
    return this.dataSource.transaction(async (manager) => {
      const leaving = await this.leave.leaveByToken(token, via, manager);
      if (leaving.kind === 'left' && leaving.subscriberId !== null)
        await this.enrollments.exitOnUnsubscribe(manager, leaving.subscriberId);
      return leaving;
    });
  }

  /** As `byToken`, by the button of the page of preferences and its link. */
  async byPreferences(token: string): Promise<Leaving> {
    const beside = this.leave.tokenBeside(token);
    if (beside === null) return { kind: 'not_ours' };
    try {
      const { subscriberId = null } = (await this.leave.holder('preferences', token)) ?? {};
      // By the mail then: a restored backup may know neither it nor them, who must not take themselves for off the list.
      if (subscriberId === null) return await this.byTokenNow(beside, 'preferences');
      await this.byId(subscriberId, 'preferences');
      return { kind: 'left', subscriberId };
    } catch {
      return this.kept.keep(beside, 'preferences');
    }
  }

  /** Throws `SUBSCRIBER_NOT_FOUND`. */
  async byId(subscriberId: string, via: UnsubscribeSource): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      await this.subscribers.unsubscribe(manager, subscriberId, via);
      await this.enrollments.exitOnUnsubscribe(manager, subscriberId);
    });
  }
  /** Whether pressing the button would change nothing. Of an address that bounced it would: nobody brings it back then. */
  async hasLeft(subscriberId: string): Promise<boolean> {
    const person = await this.subscribers.find(subscriberId);
    return person?.status === 'unsubscribed' || person?.status === 'complained';
  }
}
