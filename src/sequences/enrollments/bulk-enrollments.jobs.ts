import { Injectable, type OnModuleInit } from '@nestjs/common';
import { JobRegistry } from '../../infra/jobs/job-registry.js';
import { BulkEnrollmentsService, ENROLL_SEGMENTS } from './bulk-enrollments.service.js';

@Injectable()
export class BulkEnrollmentsJobs implements OnModuleInit {
  constructor(
    private readonly registry: JobRegistry,
    private readonly bulks: BulkEnrollmentsService,
  ) {}

  onModuleInit(): void {
    this.registry.add({
      name: ENROLL_SEGMENTS,
      everySeconds: 60,
      lockSeconds: 3_600,
      run: async ({ signal }) => this.bulks.runOpen(signal),
    });
  }
}
