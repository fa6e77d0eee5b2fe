import { Injectable, type OnModuleInit } from '@nestjs/common';
import { JobRegistry } from '../../infra/jobs/job-registry.js';
import { MailDomainsService } from './mail-domains.service.js';
import { PacingQueries } from './pacing.queries.js';

@Injectable()
export class PacingJobs implements OnModuleInit {
  constructor(
    private readonly registry: JobRegistry,
    private readonly domains: MailDomainsService,
    private readonly queries: PacingQueries,
  ) {}

  onModuleInit(): void {
    this.registry.add({
      name: 'delivery.resolve-domains',
      everySeconds: 300,
      lockSeconds: 900,
      run: async (context) => {
        await this.domains.resolveNew(context);
        await this.queries.forgetIdleLanes();
      },
    });
  }
}
