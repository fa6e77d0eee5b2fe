import { Injectable, type OnModuleInit } from '@nestjs/common';
import { JobRegistry } from '../jobs/job-registry.js';
import { RateLimits } from './rate-limits.service.js';

@Injectable()
export class RateLimitsJobs implements OnModuleInit {
  constructor(
    private readonly jobs: JobRegistry,
    private readonly limits: RateLimits,
  ) {}

  onModuleInit(): void {
    this.jobs.add({
      name: 'limits.remove-expired',
      everySeconds: 3_600,
      lockSeconds: 600,
      run: async () => this.limits.removeExpired(),
    });
  }
}
