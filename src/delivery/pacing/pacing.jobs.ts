import { Injectable, type OnModuleInit } from '@nestjs/common';
import { JobRegistry } from '../../infra/jobs/job-registry.js';
import { MailDomainsService } from './mail-domains.service.js';
import { PacingQueries } from './pacing.queries.js';
import { HeldService } from '../waiting/held.service.js';
import { RELEASE_PAUSED, SequencePauses } from '../waiting/sequence-pauses.service.js';
import { StaleMails } from '../waiting/stale-mails.service.js';

@Injectable()
export class PacingJobs implements OnModuleInit {
  constructor(
    private readonly registry: JobRegistry,
    private readonly domains: MailDomainsService,
    private readonly queries: PacingQueries,
    private readonly stale: StaleMails,
    private readonly held: HeldService,
    private readonly pauses: SequencePauses,
  ) {}

  onModuleInit(): void {
    this.registry.add({
      name: 'delivery.resolve-domains',
      everySeconds: 300,
      lockSeconds: 900,
      run: async (context) => {
        await this.domains.resolveNew(context);
        await this.queries.forgetIdleQueues();
      },
    });
    this.registry.add({
      name: RELEASE_PAUSED,
      everySeconds: 60,
      lockSeconds: 600,
      run: async () => {
        await this.pauses.release();
      },
    });
    this.registry.add({
      name: 'delivery.expire-stale',
      everySeconds: 3_600,
      lockSeconds: 900,
      run: async () => {
        await this.stale.expire();
        await this.held.endExpired();
      },
    });
  }
}
