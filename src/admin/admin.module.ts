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
import { SegmentsModule } from '../segments/segments.module.js';
import { SequencesModule } from '../sequences/sequences.module.js';
import { SubscribersModule } from '../subscribers/subscribers.module.js';
import { AffiliatePage } from './affiliate-page.service.js';
import { AffiliatePagesController } from './affiliate-pages.controller.js';
import { AnswerInterceptor } from './answer.interceptor.js';
import { BouncesPageController } from './bounces-page.controller.js';
import { BroadcastEditorController } from './broadcast-editor.controller.js';
import { BroadcastPagesController } from './broadcast-pages.controller.js';
import { DashboardController } from './dashboard.controller.js';
import { ExperimentPagesController } from './experiment-pages.controller.js';
import { FieldPagesController } from './field-pages.controller.js';
import { FilePagesController } from './file-pages.controller.js';
import { FileUploads } from './file-uploads.service.js';
import { FunnelEditorController } from './funnel-editor.controller.js';
import { FunnelEditor } from './funnel-editor.service.js';
import { FunnelHistoryController } from './funnel-history.controller.js';
import { FunnelPreviews } from './funnel-previews.service.js';
import { ImportPagesController } from './import-pages.controller.js';
import { ForecastPageController } from './forecast-page.controller.js';
import { LimitsController } from './limits.controller.js';
import { ListPagesController } from './list-pages.controller.js';
import { LoginController } from './login.controller.js';
import { MailPagesController } from './mail-pages.controller.js';
import { MailboxController } from './mailbox.controller.js';
import { MembershipPagesController } from './membership-pages.controller.js';
import { OrderPagesController } from './order-pages.controller.js';
import { OwnerAccess } from './owner-access.service.js';
import { OwnerGuard } from './owner.guard.js';
import { OwnerService } from './owner.service.js';
import { PayoutPagesController } from './payout-pages.controller.js';
import { PeoplePagesController } from './people-pages.controller.js';
import { PersonChangesService } from './person-changes.service.js';
import { PersonPagesController } from './person-pages.controller.js';
import { RootController } from './root.controller.js';
import { SegmentCheck } from './segment-check.service.js';
import { SegmentPagesController } from './segment-pages.controller.js';
import { SendingPageController } from './sending.controller.js';
import { SkipAheadService } from './skip-ahead.service.js';
import { TagPagesController } from './tag-pages.controller.js';
import { WhyController } from './why.controller.js';

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
    SegmentsModule,
    SequencesModule,
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
    DashboardController,
    FilePagesController,
    FunnelEditorController,
    FunnelHistoryController,
    MailPagesController,
    BroadcastEditorController,
    BroadcastPagesController,
    ExperimentPagesController,
    WhyController,
    MailboxController,
    SendingPageController,
    LimitsController,
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
