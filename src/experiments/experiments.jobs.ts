import { Injectable, type OnModuleInit } from '@nestjs/common';
import { JobRegistry } from '../infra/jobs/job-registry.js';
import { ExperimentsService } from './experiments.service.js';

const DECIDE = 'experiments.decide';

@Injectable()
export class ExperimentsJobs implements OnModuleInit {
  constructor(
    private readonly registry: JobRegistry,
    private readonly experiments: ExperimentsService,
  ) {}

  onModuleInit(): void {
    this.registry.add({
      name: DECIDE,
      everySeconds: 3600,
      lockSeconds: 1800,
      run: async ({ signal }) => this.experiments.decideAll(signal),
    });
  }
}
