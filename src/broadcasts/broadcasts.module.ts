import { Module } from '@nestjs/common';
import { AlertsModule } from '../infra/alerts/alerts.module.js';
import { DeliveryModule } from '../delivery/delivery.module.js';
import { PreflightModule } from '../delivery/preflight/preflight.module.js';
import { SegmentsModule } from '../segments/segments.module.js';
import { SubscribersModule } from '../subscribers/subscribers.module.js';
import { BroadcastLastLook } from './broadcast-last-look.service.js';
import { BroadcastPlanner } from './broadcast-planner.service.js';
import { BroadcastPreflight } from './broadcast-preflight.service.js';
import { BroadcastReports } from './broadcast-reports.service.js';
import { BroadcastPreviews } from './broadcast-previews.service.js';
import { BroadcastResends } from './broadcast-resends.service.js';
import { BroadcastUnknowns } from './broadcast-unknowns.service.js';
import { BroadcastUpkeep } from './broadcast-upkeep.service.js';
import { BroadcastsController } from './broadcasts.controller.js';
import { BroadcastsJobs } from './broadcasts.jobs.js';
import { BroadcastsQueries } from './broadcasts.queries.js';
import { BroadcastsService } from './broadcasts.service.js';
import { BroadcastWords } from './broadcast-words.service.js';
import { SplitMails } from './split-mails.service.js';
import { SplitQueries } from './split.queries.js';
import { SplitTests } from './split-test.service.js';

/** One message to many people at a time. Owns `broadcast`. It plans messages and never sends them. */
@Module({
  imports: [AlertsModule, DeliveryModule, PreflightModule, SegmentsModule, SubscribersModule],
  controllers: [BroadcastsController],
  providers: [
    BroadcastsService,
    BroadcastWords,
    BroadcastReports,
    BroadcastsQueries,
    BroadcastLastLook,
    BroadcastPlanner,
    BroadcastUpkeep,
    BroadcastPreviews,
    BroadcastResends,
    BroadcastUnknowns,
    SplitTests,
    SplitMails,
    SplitQueries,
    BroadcastPreflight,
    BroadcastsJobs,
  ],
  exports: [
    BroadcastsService,
    BroadcastWords,
    BroadcastReports,
    BroadcastResends,
    BroadcastUnknowns,
    BroadcastPreviews,
  ],
})
export class BroadcastsModule {}
