import { Injectable, type OnModuleInit } from '@nestjs/common';
import { JobRegistry } from '../../infra/jobs/job-registry.js';
import { DomainWatch } from './domain-watch.service.js';

@Injectable()
export class DomainsJobs implements OnModuleInit {
  constructor(
    private readonly registry: JobRegistry,
    private readonly watch: DomainWatch,
  ) {}

  onModuleInit(): void {
    this.registry.add({
      name: 'delivery.check-domains',
      // Looks whether a day has passed: a process that is started anew every few hours must not put it off for ever.
      everySeconds: 3_600,
      lockSeconds: 900,
      run: async () => this.watch.checkDaily(),
    });
  }
}
