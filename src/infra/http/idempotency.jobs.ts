import { Injectable, type OnModuleInit } from '@nestjs/common';
import { JobRegistry } from '../jobs/job-registry.js';
import { IdempotencyKeys } from './idempotency-keys.js';

@Injectable()
export class IdempotencyJobs implements OnModuleInit {
  constructor(
    private readonly jobs: JobRegistry,
    private readonly keys: IdempotencyKeys,
  ) {}

  onModuleInit(): void {
    this.jobs.add({
      name: 'http.remove-idempotency-keys',
      everySeconds: 3_600,
      lockSeconds: 600,
      run: async () => {
        await this.keys.removeExpired();
      },
    });
  }
}
