import { Injectable, type OnModuleInit } from '@nestjs/common';
import { JobRegistry } from '../../infra/jobs/job-registry.js';
import { MembershipsService } from './memberships.service.js';

@Injectable()
export class MembershipsJobs implements OnModuleInit {
  constructor(
    private readonly registry: JobRegistry,
    private readonly memberships: MembershipsService,
  ) {}

  onModuleInit(): void {
    this.registry.add({
      name: 'memberships.end-due',
      everySeconds: 30,
      lockSeconds: 600,
      run: async ({ signal }) => {
        await this.memberships.endAllDue(signal);
      },
    });
  }
}
