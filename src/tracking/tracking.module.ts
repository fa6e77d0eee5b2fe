import { Module } from '@nestjs/common';
import { AfterWork } from './after-work.service.js';
import { ClicksController } from './clicks.controller.js';
import { ConversionsController } from './conversions.controller.js';
import { HitsController } from './hits.controller.js';
import { HitMetrics } from './hit-metrics.service.js';
import { HitRecorder } from './hit-recorder.service.js';
import { HitSpool } from './hit-spool.service.js';
import { HitStore } from './hit-store.service.js';
import { LinksService } from './links.service.js';
import { SettleTimer } from './settle-timer.service.js';
import { TrackingJobs } from './tracking.jobs.js';
import { TrackingService } from './tracking.service.js';
import { VerdictsService } from './verdicts.service.js';

/** Opens, clicks, visits, conversions. Owns `tracking_event`, `tracking_batch`, `visit` and `conversion`. */
@Module({
  controllers: [ClicksController, ConversionsController, HitsController],
  providers: [
    TrackingService,
    HitRecorder,
    HitStore,
    HitSpool,
    HitMetrics,
    AfterWork,
    SettleTimer,
    LinksService,
    VerdictsService,
    TrackingJobs,
  ],
  exports: [TrackingService],
})
export class TrackingModule {}
