import { Module } from '@nestjs/common';
import { DeliveryModule } from '../delivery.module.js';
import { AlertsModule } from '../../infra/alerts/alerts.module.js';
import { DomainCheckService } from '../domains/domain-check.service.js';
import { DomainWatch } from '../domains/domain-watch.service.js';
import { DomainsJobs } from '../domains/domains.jobs.js';
import { AudienceQueries } from './audience.queries.js';
import { AudienceValues } from './audience-values.service.js';
import { Drafts } from './drafts.service.js';
import { PreflightService } from './preflight.service.js';
import { TemplatesController } from './templates.controller.js';

/** What can be known about a mail, and about the domain it comes from, before the first one is sent. */
@Module({
  imports: [AlertsModule, DeliveryModule],
  controllers: [TemplatesController],
  providers: [
    AudienceQueries,
    AudienceValues,
    DomainCheckService,
    DomainWatch,
    DomainsJobs,
    Drafts,
    PreflightService,
  ],
  exports: [AudienceValues, DomainCheckService, Drafts, PreflightService],
})
export class PreflightModule {}
