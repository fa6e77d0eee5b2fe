import { Module } from '@nestjs/common';
import { DeliveryModule } from '../delivery/delivery.module.js';
import { AnalyticsController } from './analytics.controller.js';
import { AnalyticsService } from './analytics.service.js';
import { ExplainController } from './explain.controller.js';
import { ExplainWaits } from './explain-waits.service.js';
import { ExplainService } from './explain.service.js';
import { SendingMetrics } from './sending-metrics.service.js';

/** Read-only questions over the tables of all other modules. Owns no table. */
@Module({
  imports: [DeliveryModule],
  controllers: [AnalyticsController, ExplainController],
  providers: [AnalyticsService, ExplainService, ExplainWaits, SendingMetrics],
  exports: [AnalyticsService, ExplainService],
})
export class AnalyticsModule {}
