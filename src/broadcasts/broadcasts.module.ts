import { Module } from '@nestjs/common';
import { DeliveryModule } from '../delivery/delivery.module.js';
import { PreflightModule } from '../delivery/preflight/preflight.module.js';
import { SegmentsModule } from '../segments/segments.module.js';
import { BroadcastPlanner } from './broadcast-planner.service.js';
import { BroadcastPreflight } from './broadcast-preflight.service.js';
import { BroadcastsController } from './broadcasts.controller.js';
import { BroadcastsJobs } from './broadcasts.jobs.js';
import { BroadcastsQueries } from './broadcasts.queries.js';
import { BroadcastsService } from './broadcasts.service.js';

/** One message to many people at a time. Owns `broadcast`. It plans messages and never sends them. */
@Module({
  imports: [DeliveryModule, PreflightModule, SegmentsModule],
  controllers: [BroadcastsController],
  providers: [BroadcastsService, BroadcastsQueries, BroadcastPlanner, BroadcastPreflight, BroadcastsJobs],
  exports: [BroadcastsService],
})
export class BroadcastsModule {}
