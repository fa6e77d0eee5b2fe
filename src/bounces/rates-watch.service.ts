import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { BroadcastGuard } from '../delivery/broadcast-guard.service.js';
import { complaintHealth } from '../delivery/broadcast-health.js';
import { AlertsService } from '../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { BouncesQueries } from './bounces.queries.js';

const DAY_MS = 86_400_000;
const COMPLAINT_DAYS = 7;

/** The rates providers judge a sender by. */
@Injectable()
export class RatesWatch {
  constructor(
    private readonly queries: BouncesQueries,
    private readonly guard: BroadcastGuard,
    private readonly alerts: AlertsService,
    private readonly dataSource: DataSource,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async look(): Promise<void> {
    const now = this.clock.now().getTime();
    for (const id of await this.queries.reportedBroadcasts(new Date(now - DAY_MS))) {
      await this.guard.check(this.dataSource.manager, id, { sample: null });
    }
    for (const { group, ...counts } of await this.queries.complaintsByProvider(
      new Date(now - COMPLAINT_DAYS * DAY_MS),
    )) {
      const key = `complaints:provider:${group}`;
      const { action, reason } = complaintHealth(counts);
      if (action === 'none' || reason === null) {
        await this.alerts.resolve(key);
        continue;
      }
      await this.alerts.raise({
        key,
        severity: action === 'pause' ? 'critical' : 'warning',
        message: `In the last ${COMPLAINT_DAYS} days at ${group}: ${reason}`,
        facts: { group, ...counts },
      });
    }
  }
}
