import { Module } from '@nestjs/common';
import { AcceptedJournal } from './accepted-journal.service.js';
import { BroadcastMailsQueries } from './broadcast-mails.queries.js';
import { BroadcastGuard } from './broadcast-guard.service.js';
import { DeliveryJobs } from './delivery.jobs.js';
import { DkimKeys } from './dkim-keys.service.js';
import { DkimService } from './dkim.service.js';
import { DueMessages } from './due-messages.service.js';
import { LedgerClaims } from './ledger-claims.service.js';
import { LedgerQueries } from './ledger.queries.js';
import { Ledger } from './ledger.service.js';
import { MailComposer } from './mail-composer.service.js';
import { MailRenderer } from './mail-renderer.service.js';
import { MessagesController } from './messages.controller.js';
import { MessagesQueries } from './messages.queries.js';
import { MessagesService } from './messages.service.js';
import { PacingModule } from './pacing/pacing.module.js';
import { ParkedLanes } from './parked-lanes.service.js';
import { Reaper } from './reaper.service.js';
import { PlanningQueries } from './planning.queries.js';
import { SendHours } from './send-hours.service.js';
import { SenderService } from './sender.service.js';
import { SignedDomains } from './signed-domains.service.js';
import { SmtpLanes } from './smtp-lanes.service.js';
import { TemplatesService } from './templates.service.js';
import { WrittenMailsService } from './written-mails.service.js';
import { UnmadeMails } from './unmade-mails.service.js';

/**
 * From a planned message to the relay's answer: templates, the send ledger, SMTP lanes. Owns `message`,
 * `message_attempt`, `send_hours`, `email_template`, `link` and `signed_domain`. Decides nothing about who gets what: that is planned elsewhere.
 */
@Module({
  imports: [PacingModule],
  controllers: [MessagesController],
  providers: [
    MessagesService,
    MessagesQueries,
    PlanningQueries,
    SendHours,
    BroadcastMailsQueries,
    TemplatesService,
    WrittenMailsService,
    MailRenderer,
    DkimKeys,
    SignedDomains,
    DkimService,
    SmtpLanes,
    ParkedLanes,
    Reaper,
    DueMessages,
    MailComposer,
    LedgerQueries,
    LedgerClaims,
    Ledger,
    AcceptedJournal,
    UnmadeMails,
    SenderService,
    DeliveryJobs,
    BroadcastGuard,
  ],
  exports: [
    PacingModule,
    ParkedLanes,
    BroadcastGuard,
    DkimKeys,
    SignedDomains,
    MessagesService,
    BroadcastMailsQueries,
    TemplatesService,
    WrittenMailsService,
    SenderService,
  ],
})
export class DeliveryModule {}
