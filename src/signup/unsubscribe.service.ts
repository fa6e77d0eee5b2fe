import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { EnrollmentsService } from '../sequences/enrollments/enrollments.service.js';
import { LeaveService, type Leaving } from '../subscribers/leave.service.js';
import type { UnsubscribeSource } from '../subscribers/subscriber.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';

/** Leaving, and what it ends: status, suppression and sequences change in one transaction. */
@Injectable()
export class UnsubscribeService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly leave: LeaveService,
    private readonly subscribers: SubscribersService,
    private readonly enrollments: EnrollmentsService,
  ) {}

  /** As `LeaveService.leaveByToken`. */
  async byToken(token: string, via: UnsubscribeSource): Promise<Leaving> {
    return this.dataSource.transaction(async (manager) => {
      const leaving = await this.leave.leaveByToken(token, via, manager);
      if (leaving.kind === 'left' && leaving.subscriberId !== null)
        await this.enrollments.exitOnUnsubscribe(manager, leaving.subscriberId);
      return leaving;
    });
  }

  /** Throws `SUBSCRIBER_NOT_FOUND`. */
  async byId(subscriberId: string, via: UnsubscribeSource): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      await this.subscribers.unsubscribe(manager, subscriberId, via);
      await this.enrollments.exitOnUnsubscribe(manager, subscriberId);
    });
  }
}
