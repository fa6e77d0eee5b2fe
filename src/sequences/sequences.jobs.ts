import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { CLOCK, type Clock } from '../infra/clock.js';
import { JobRegistry } from '../infra/jobs/job-registry.js';
import { ADVANCE_DUE, EnrollmentsService } from './enrollments.service.js';

const BATCH = 500;

@Injectable()
export class SequencesJobs implements OnModuleInit {
  constructor(
    private readonly registry: JobRegistry,
    private readonly enrollments: EnrollmentsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  onModuleInit(): void {
    this.registry.add({
      name: ADVANCE_DUE,
      everySeconds: 2,
      lockSeconds: 600,
      run: async ({ deadline, signal }) => {
        while (!signal.aborted && this.clock.now().getTime() < deadline) {
          if ((await this.enrollments.advanceDue(BATCH)) === 0) return;
        }
      },
    });
  }
}
