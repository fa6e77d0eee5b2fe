import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { JobRegistry } from '../infra/jobs/job-registry.js';
import { forgetBatches, forgetMarks } from './hits.queries.js';
import { RECLASSIFY, SETTLE_CLICKS, VerdictsService } from './verdicts.service.js';

/** Longer than any file lies in the spool of an installation that is looked after. */
const BATCHES_KEPT_MS = 30 * 86_400_000;

@Injectable()
export class TrackingJobs implements OnModuleInit {
  constructor(
    private readonly registry: JobRegistry,
    private readonly verdicts: VerdictsService,
    private readonly dataSource: DataSource,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  onModuleInit(): void {
    this.registry.add({
      name: SETTLE_CLICKS,
      everySeconds: 2,
      lockSeconds: 300,
      run: async ({ signal }) => {
        await this.verdicts.settleDue(signal);
      },
    });
    this.registry.add({
      name: RECLASSIFY,
      everySeconds: 60,
      lockSeconds: 3_600,
      run: async (context) => this.verdicts.reclassify(context),
    });
    this.registry.add({
      name: 'tracking.forget-batches',
      everySeconds: 3_600,
      lockSeconds: 600,
      run: async () => {
        const before = new Date(this.clock.now().getTime() - BATCHES_KEPT_MS);
        await forgetBatches(this.dataSource.manager, before);
        await forgetMarks(this.dataSource.manager, before);
      },
    });
  }
}
