import { Module } from '@nestjs/common';
import { WorkerPresence } from './ledger/worker-presence.service.js';
import { AcceptedJournal } from './ledger/accepted-journal.service.js';
import { BroadcastMailsQueries } from './planning/broadcast-mails.queries.js';
import { BroadcastGuard } from './guards/broadcast-guard.service.js';
import { DeliveryJobs } from './delivery.jobs.js';
import { DkimKeys } from './signing/dkim-keys.service.js';
import { DkimService } from './signing/dkim.service.js';
import { SubscribersModule } from '../subscribers/subscribers.module.js';
import { DueMessages } from './sending/due-messages.service.js';
import { LedgerClaims } from './sending/ledger-claims.service.js';
import { LedgerQueries } from './ledger/ledger.queries.js';
import { Ledger } from './ledger/ledger.service.js';
import { MailComposer } from './sending/mail-composer.service.js';
import { MailRenderer } from './mails/mail-renderer.service.js';
import { MessagesController } from './ledger/messages.controller.js';
import { MessagesQueries } from './ledger/messages.queries.js';
import { MessagesService } from './planning/messages.service.js';
import { PacingModule } from './pacing/pacing.module.js';
import { ParkedLanes } from './relays/parked-lanes.service.js';
import { BeforeSending } from './sending/before-sending.service.js';
import { Reaper } from './sending/reaper.service.js';
import { SenderService } from './sending/sender.service.js';
import { SignedDomains } from './signing/signed-domains.service.js';
import { UsedDownloads } from './planning/used-downloads.service.js';
import { SmtpLanes } from './relays/smtp-lanes.service.js';
import { TemplatesService } from './mails/templates.service.js';
import { WrittenMailsService } from './mails/written-mails.service.js';
import { MailFlaws } from './mails/mail-flaws.service.js';
import { UnmadeMails } from './mails/unmade-mails.service.js';

/**
 * From a planned message to the relay's answer: templates, the send ledger, SMTP lanes. Owns `message`,
 * `message_attempt`, `email_template`, `link` and `signed_domain`. Decides nothing about who gets what: that is planned elsewhere.
 */
@Module({
  imports: [PacingModule, SubscribersModule],
  controllers: [MessagesController],
  providers: [
    MessagesService,
    MessagesQueries,
    BroadcastMailsQueries,
    TemplatesService,
    WrittenMailsService,
    MailRenderer,
    DkimKeys,
    SignedDomains,
    DkimService,
    SmtpLanes,
    ParkedLanes,
    BeforeSending,
    Reaper,
    DueMessages,
    MailComposer,
    LedgerQueries,
    LedgerClaims,
    Ledger,
    AcceptedJournal,
    WorkerPresence,
    UnmadeMails,
    MailFlaws,
    UsedDownloads,
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
    MessagesQueries,
    BroadcastMailsQueries,
    TemplatesService,
    WrittenMailsService,
    SenderService,
  ],
})
export class DeliveryModule {}
