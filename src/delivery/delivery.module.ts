import { Module } from '@nestjs/common';
import { DeliveryJobs } from './delivery.jobs.js';
import { DkimKeys } from './dkim-keys.service.js';
import { DkimService } from './dkim.service.js';
import { MailRenderer } from './mail-renderer.service.js';
import { MessagesController } from './messages.controller.js';
import { MessagesQueries } from './messages.queries.js';
import { MessagesService } from './messages.service.js';
import { SenderService } from './sender.service.js';
import { SmtpTransport } from './smtp.transport.js';
import { TemplatesService } from './templates.service.js';

/**
 * From a planned message to the relay's answer: templates, the send ledger, SMTP lanes. Owns `message`,
 * `message_attempt`, `email_template` and `link`. Decides nothing about who gets what: that is planned elsewhere.
 */
@Module({
  controllers: [MessagesController],
  providers: [
    MessagesService,
    MessagesQueries,
    TemplatesService,
    MailRenderer,
    SmtpTransport,
    DkimKeys,
    DkimService,
    SenderService,
    DeliveryJobs,
  ],
  exports: [MessagesService, TemplatesService, SenderService],
})
export class DeliveryModule {}
