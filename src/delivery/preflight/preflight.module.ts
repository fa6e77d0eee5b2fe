import { Module } from '@nestjs/common';
import { DeliveryModule } from '../delivery.module.js';
import { DomainsModule } from '../domains/domains.module.js';
import { AudienceQueries } from './audience.queries.js';
import { AudienceValues } from './audience-values.service.js';
import { Drafts } from './drafts.service.js';
import { PreflightService } from './preflight.service.js';
import { TestMails } from './test-mails.service.js';
import { TemplatesController } from './templates.controller.js';

/** What can be known about a mail, and about the domain it comes from, before the first one is sent. */
@Module({
  imports: [DeliveryModule, DomainsModule],
  controllers: [TemplatesController],
  providers: [AudienceQueries, AudienceValues, Drafts, PreflightService, TestMails],
  exports: [AudienceValues, DomainsModule, Drafts, PreflightService, TestMails],
})
export class PreflightModule {}
