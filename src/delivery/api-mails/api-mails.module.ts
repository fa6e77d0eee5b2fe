import { Module } from '@nestjs/common';
import { DeliveryModule } from '../delivery.module.js';
import { PreflightModule } from '../preflight/preflight.module.js';
import { ApiMailLimits } from './api-mail-limits.service.js';
import { ApiMailsController } from './api-mails.controller.js';
import { ApiMailsJobs } from './api-mails.jobs.js';
import { ApiMails } from './api-mails.service.js';

/** One mail of a template that a program asks for. */
@Module({
  imports: [DeliveryModule, PreflightModule],
  controllers: [ApiMailsController],
  providers: [ApiMails, ApiMailLimits, ApiMailsJobs],
  exports: [ApiMails],
})
export class ApiMailsModule {}
