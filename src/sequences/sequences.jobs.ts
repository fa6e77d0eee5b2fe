import { Injectable, type OnModuleInit } from '@nestjs/common';
import { JobRegistry } from '../infra/jobs/job-registry.js';
import { ADVANCE_DUE, EnrollmentsService } from './enrollments.service.js';

@Injectable()
export class SequencesJobs implements OnModuleInit {
  constructor(
    private readonly registry: JobRegistry,
    private readonly enrollments: EnrollmentsService,
  ) {}

  onModuleInit(): void {
    this.registry.add({
      name: ADVANCE_DUE,
      everySeconds: 2,
      lockSeconds: 600,
      run: async (context) => {
        await this.enrollments.advanceAllDue(context);
      },
    });
  }
}
