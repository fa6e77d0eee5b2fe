import { Injectable, type OnModuleInit } from '@nestjs/common';
import { JobRegistry } from '../infra/jobs/job-registry.js';
import { PausesService } from './pauses.service.js';

@Injectable()
export class PausesJobs implements OnModuleInit {
  constructor(
    private readonly registry: JobRegistry,
    private readonly pauses: PausesService,
  ) {}

  onModuleInit(): void {
    this.registry.add({
      name: 'privacy.end-pauses',
      everySeconds: 60,
      lockSeconds: 600,
      run: async () => this.pauses.endDue(),
    });
  }
}
