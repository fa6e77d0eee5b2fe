import { Module } from '@nestjs/common';
import { AnalyticsModule } from '../analytics/analytics.module.js';
import { BouncesModule } from '../bounces/bounces.module.js';
import { BroadcastsModule } from '../broadcasts/broadcasts.module.js';
import { DeliveryModule } from '../delivery/delivery.module.js';
import { ExperimentsModule } from '../experiments/experiments.module.js';
import { MailboxModule } from '../infra/mailbox/mailbox.module.js';
import { SequencesModule } from '../sequences/sequences.module.js';
import { SubscribersModule } from '../subscribers/subscribers.module.js';
import { BouncesPageController } from './bounces-page.controller.js';
import { BroadcastPagesController } from './broadcast-pages.controller.js';
import { DashboardController } from './dashboard.controller.js';
import { ExperimentPagesController } from './experiment-pages.controller.js';
import { LimitsController } from './limits.controller.js';
import { LoginController } from './login.controller.js';
import { MailboxController } from './mailbox.controller.js';
import { OwnerAccess } from './owner-access.service.js';
import { OwnerService } from './owner.service.js';
import { RootController } from './root.controller.js';
import { SendingPageController } from './sending.controller.js';
import { SkipAheadService } from './skip-ahead.service.js';
import { WhyController } from './why.controller.js';

/** The owner's pages and the built-in mailbox. Owns `owner` and `owner_session`. */
@Module({
  imports: [
    AnalyticsModule,
    BouncesModule,
    BroadcastsModule,
    DeliveryModule,
    ExperimentsModule,
    MailboxModule,
    SequencesModule,
    SubscribersModule,
  ],
  controllers: [
    RootController,
    LoginController,
    DashboardController,
    BroadcastPagesController,
    ExperimentPagesController,
    WhyController,
    MailboxController,
    SendingPageController,
    LimitsController,
    BouncesPageController,
  ],
  providers: [OwnerService, OwnerAccess, SkipAheadService],
})
export class AdminModule {}
