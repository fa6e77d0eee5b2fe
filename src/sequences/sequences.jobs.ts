import { Injectable, type OnModuleInit } from '@nestjs/common';
import { JobRegistry } from '../infra/jobs/job-registry.js';
import { ADVANCE_DUE } from './enrollments/enrolling.service.js';
import { EXIT_LEFT } from '../subscribers/leave.service.js';
import { ClockWatch } from './advance/clock-watch.service.js';
import { EnrollmentsService } from './enrollments/enrollments.service.js';
import { DELIVER_WEBHOOKS, NOTIFY_OWNER } from './effects/effects.service.js';
import { OwnerNoticesService } from './effects/owner-notices.service.js';
import { SignalsService } from './events/signals.service.js';
import { WebhooksService } from './effects/webhooks.service.js';

@Injectable()
export class SequencesJobs implements OnModuleInit {
  constructor(
    private readonly registry: JobRegistry,
    private readonly signals: SignalsService,
    private readonly enrollments: EnrollmentsService,
    private readonly webhooks: WebhooksService,
    private readonly notices: OwnerNoticesService,
    private readonly clock: ClockWatch,
  ) {}

  onModuleInit(): void {
    this.registry.add({
      name: ADVANCE_DUE,
      everySeconds: 2,
      lockSeconds: 600,
      run: async (context) => {
        await this.signals.takeAll(context.signal);
        await this.enrollments.advanceAllDue(context);
        // What this run's steps have changed is heard by other sequences before it ends.
        if ((await this.signals.takeAll(context.signal)) > 0) await this.enrollments.advanceAllDue(context);
      },
    });
    this.registry.add({
      name: EXIT_LEFT,
      everySeconds: 60,
      lockSeconds: 600,
      run: async () => this.enrollments.exitLeft(),
    });
    this.registry.add({
      name: DELIVER_WEBHOOKS,
      everySeconds: 10,
      lockSeconds: 600,
      run: async ({ signal }) => {
        while (!signal.aborted && (await this.webhooks.deliverDue()) > 0);
      },
    });
    this.registry.add({
      name: NOTIFY_OWNER,
      everySeconds: 60,
      lockSeconds: 600,
      run: async () => this.notices.sendWaiting(),
    });
    this.registry.add({
      name: 'sequences.watch-clock',
      everySeconds: 60,
      lockSeconds: 600,
      run: async () => this.clock.look(),
    });
  }
}
