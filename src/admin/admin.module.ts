import { Module } from '@nestjs/common';
import { APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core';
import { AffiliatesModule } from '../affiliates/affiliates.module.js';
import { AnalyticsModule } from '../analytics/analytics.module.js';
import { BouncesModule } from '../bounces/bounces.module.js';
import { BroadcastsModule } from '../broadcasts/broadcasts.module.js';
import { DeliveryModule } from '../delivery/delivery.module.js';
import { PreflightModule } from '../delivery/preflight/preflight.module.js';
import { ExperimentsModule } from '../experiments/experiments.module.js';
import { ImportsModule } from '../imports/imports.module.js';
import { FunnelsModule } from '../funnels/funnels.module.js';
import { FilesModule } from '../infra/files/files.module.js';
import { MailboxModule } from '../infra/mailbox/mailbox.module.js';
import { OrdersModule } from '../orders/orders.module.js';
import { PrivacyModule } from '../privacy/privacy.module.js';
import { SegmentsModule } from '../segments/segments.module.js';
import { SequencesModule } from '../sequences/sequences.module.js';
import { SignupModule } from '../signup/signup.module.js';
import { SubscribersModule } from '../subscribers/subscribers.module.js';
import { AlertMails } from './alerts/alert-mails.service.js';
import { AlertsJobs } from './alerts/alerts.jobs.js';
import { AffiliatePage } from './affiliates/affiliate-page.service.js';
import { AffiliatePagesController } from './affiliates/affiliate-pages.controller.js';
import { AnswerInterceptor } from './answers/answer.interceptor.js';
import { BouncesPageController } from './sending/bounces-page.controller.js';
import { BroadcastEditorController } from './broadcasts/broadcast-editor.controller.js';
import { BroadcastWordsController } from './broadcasts/broadcast-words.controller.js';
import { BroadcastPagesController } from './broadcasts/broadcast-pages.controller.js';
import { DashboardController } from './dashboard/dashboard.controller.js';
import { ExperimentPagesController } from './experiments/experiment-pages.controller.js';
import { FieldPagesController } from './people/field-pages.controller.js';
import { FilePagesController } from './files/file-pages.controller.js';
import { FileUploads } from './files/file-uploads.service.js';
import { FunnelEditorController } from './funnels/funnel-editor.controller.js';
import { FunnelEditor } from './funnels/funnel-editor.service.js';
import { FunnelArchivePagesController } from './funnels/funnel-archive.controller.js';
import { FunnelHistoryController } from './funnels/funnel-history.controller.js';
import { FunnelPreviews } from './funnels/funnel-previews.service.js';
import { ImportPagesController } from './imports/import-pages.controller.js';
import { ForecastPageController } from './dashboard/forecast-page.controller.js';
import { LimitsPageController } from './sending/limits-page.controller.js';
import { ListPagesController } from './people/list-pages.controller.js';
import { LoginController } from './access/login.controller.js';
import { MailPagesController } from './mails/mail-pages.controller.js';
import { MailboxController } from './mailbox/mailbox.controller.js';
import { MembershipPagesController } from './memberships/membership-pages.controller.js';
import { OrderPagesController } from './orders/order-pages.controller.js';
import { OwnerAccess } from './access/owner-access.service.js';
import { OwnerGuard } from './access/owner.guard.js';
import { OwnerService } from './access/owner.service.js';
import { PayoutPagesController } from './affiliates/payout-pages.controller.js';
import { PeoplePagesController } from './people/people-pages.controller.js';
import { PersonAddressController } from './people/person-address.controller.js';
import { PersonChangesService } from './people/person-changes.service.js';
import { PersonDataController } from './people/person-data.controller.js';
import { PersonPagesController } from './people/person-pages.controller.js';
import { RootController } from './root.controller.js';
import { SegmentCheck } from './segments/segment-check.service.js';
import { SegmentPagesController } from './segments/segment-pages.controller.js';
import { KeepersPageController } from './sending/keepers-page.controller.js';
import { SequencePausesPageController } from './sending/sequence-pauses-page.controller.js';
import { SendingPageController } from './sending/sending-page.controller.js';
import { SkipAheadService } from './mailbox/skip-ahead.service.js';
import { TagPagesController } from './people/tag-pages.controller.js';
import { WhyController } from './people/why.controller.js';

/** The owner's pages and the built-in mailbox. Owns `owner` and `owner_session`. */
@Module({
  imports: [
    AffiliatesModule,
    AnalyticsModule,
    BouncesModule,
    BroadcastsModule,
    DeliveryModule,
    ExperimentsModule,
    ImportsModule,
    FilesModule,
    FunnelsModule,
    MailboxModule,
    OrdersModule,
    PreflightModule,
    PrivacyModule,
    SegmentsModule,
    SequencesModule,
    SignupModule,
    SubscribersModule,
  ],
  controllers: [
    RootController,
    LoginController,
    PeoplePagesController,
    FieldPagesController,
    TagPagesController,
    ListPagesController,
    PersonPagesController,
    PersonAddressController,
    PersonDataController,
    DashboardController,
    FilePagesController,
    FunnelEditorController,
    FunnelHistoryController,
    FunnelArchivePagesController,
    MailPagesController,
    BroadcastEditorController,
    BroadcastWordsController,
    BroadcastPagesController,
    ExperimentPagesController,
    WhyController,
    MailboxController,
    SendingPageController,
    SequencePausesPageController,
    KeepersPageController,
    LimitsPageController,
    BouncesPageController,
    ImportPagesController,
    SegmentPagesController,
    ForecastPageController,
    AffiliatePagesController,
    PayoutPagesController,
    MembershipPagesController,
    OrderPagesController,
  ],
  providers: [
    AlertMails,
    AlertsJobs,
    OwnerService,
    OwnerAccess,
    { provide: APP_GUARD, useClass: OwnerGuard },
    { provide: APP_INTERCEPTOR, useClass: AnswerInterceptor },
    SkipAheadService,
    AffiliatePage,
    FunnelEditor,
    FunnelPreviews,
    PersonChangesService,
    SegmentCheck,
    FileUploads,
  ],
})
export class AdminModule {}
