import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { MessagesService } from '../delivery/planning/messages.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { Wake } from '../infra/jobs/wake.js';
import { ADVANCE_DUE } from '../sequences/enrollments/enrolling.service.js';
import { EnrollmentsService } from '../sequences/enrollments/enrollments.service.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';
import type { PauseDays } from './preferences.js';
import { DAY_MS } from '../values/time-units.js';

/**
 * Nothing but what they asked for themselves for a while. Steps of sequences that come up wait for the end and follow one
 * another as before; a mail that was planned already is held by the claim and by the barrier, which read the pause.
 */
@Injectable()
export class PausesService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly subscribers: SubscribersService,
    private readonly enrollments: EnrollmentsService,
    private readonly messages: MessagesService,
    private readonly wake: Wake,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** From now on, in place of a pause that is under way. In force when it returns. */
  async begin(subscriberId: string, days: PauseDays): Promise<Date> {
    const now = this.clock.now();
    const until = new Date(now.getTime() + days * DAY_MS);
    await this.dataSource.transaction(async (manager) => {
      const before = await this.subscribers.setPause(manager, subscriberId, until);
      // What waits for the end of the old pause comes up now, and then waits for the new end.
      if (before !== null) await this.enrollments.resume(manager, subscriberId, { pausedUntil: before, now });
    });
    return until;
  }

  /** Before its time; nothing happens when there is no pause. */
  async end(subscriberId: string): Promise<void> {
    const now = this.clock.now();
    await this.dataSource.transaction(async (manager) => {
      const before = await this.subscribers.setPause(manager, subscriberId, null);
      if (before !== null) await this.enrollments.resume(manager, subscriberId, { pausedUntil: before, now });
      await this.messages.releasePaused(manager);
    });
  }

  /**
   * Called every minute: ends pauses whose time has come, and lets go of what was held for one that is over. Together: a step behind
   * such a mail would have its turn between the two.
   */
  async endDue(): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      const ended = await this.subscribers.endPauses(manager, this.clock.now());
      await this.messages.releasePaused(manager);
      if (ended > 0) await this.wake.notify(manager, ADVANCE_DUE);
    });
  }
}
