import { type DynamicModule, Module } from '@nestjs/common';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import { AdminModule } from './admin/admin.module.js';
import { AffiliatesModule } from './affiliates/affiliates.module.js';
import { AnalyticsModule } from './analytics/analytics.module.js';
import { BroadcastsModule } from './broadcasts/broadcasts.module.js';
import { BouncesModule } from './bounces/bounces.module.js';
import { ApiMailsModule } from './delivery/api-mails/api-mails.module.js';
import { DeliveryModule } from './delivery/delivery.module.js';
import { PreflightModule } from './delivery/preflight/preflight.module.js';
import { ExperimentsModule } from './experiments/experiments.module.js';
import { FunnelsModule } from './funnels/funnels.module.js';
import { AccessModule } from './infra/access/access.module.js';
import { AlertsModule } from './infra/alerts/alerts.module.js';
import { ImportsModule } from './imports/imports.module.js';
import type { Clock } from './infra/clock.js';
import type { Config } from './infra/config.js';
import { DatabaseModule } from './infra/database/database.module.js';
import { FilesModule } from './infra/files/files.module.js';
import { TemplatesModule } from './infra/templates/templates.module.js';
import { HttpModule } from './infra/http/http.module.js';
import { JobsModule } from './infra/jobs/jobs.module.js';
import { MailboxModule } from './infra/mailbox/mailbox.module.js';
import { RateLimitsModule } from './infra/rate-limits/rate-limits.module.js';
import { SettingsModule } from './infra/settings.module.js';
import { OffersModule } from './offers/offers.module.js';
import { OrdersModule } from './orders/orders.module.js';
import { PrivacyModule } from './privacy/privacy.module.js';
import { SegmentsModule } from './segments/segments.module.js';
import { SequencesModule } from './sequences/sequences.module.js';
import { SignupModule } from './signup/signup.module.js';
import { SubscribersModule } from './subscribers/subscribers.module.js';
import { TrackingModule } from './tracking/tracking.module.js';

export interface AppParts {
  config: Config;
  dataSource: DataSource;
  clock: Clock;
  logger: Logger;
}

/** The table of contents: the modules in the order in which a visitor meets them. */
@Module({})
export class AppModule {
  static forRoot({ config, dataSource, clock, logger }: AppParts): DynamicModule {
    return {
      module: AppModule,
      imports: [
        SettingsModule.forRoot(config, clock),
        DatabaseModule.forRoot(dataSource, config.databaseUrl),
        JobsModule.forRoot({ mongoUri: config.mongoUri, databaseUrl: config.databaseUrl }, logger),
        HttpModule,
        RateLimitsModule,
        AccessModule,
        AlertsModule,
        FilesModule,
        TemplatesModule,
        MailboxModule,
        SignupModule,
        SubscribersModule,
        SegmentsModule,
        ExperimentsModule,
        ImportsModule,
        SequencesModule,
        BroadcastsModule,
        DeliveryModule,
        PreflightModule,
        ApiMailsModule,
        BouncesModule,
        TrackingModule,
        OffersModule,
        AffiliatesModule,
        OrdersModule,
        PrivacyModule,
        AnalyticsModule,
        FunnelsModule,
        AdminModule,
      ],
    };
  }
}
