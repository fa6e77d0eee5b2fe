import { Module } from '@nestjs/common';
import { AlertsModule } from '../../infra/alerts/alerts.module.js';
import { DeliveryModule } from '../delivery.module.js';
import { DomainCheckService } from './domain-check.service.js';
import { DomainWatch } from './domain-watch.service.js';
import { DomainsJobs } from './domains.jobs.js';

/** What can be known about the domains that mails come from: SPF, DKIM, DMARC and the rest, on demand and every day. */
@Module({
  imports: [AlertsModule, DeliveryModule],
  providers: [DomainCheckService, DomainWatch, DomainsJobs],
  exports: [DomainCheckService],
})
export class DomainsModule {}
