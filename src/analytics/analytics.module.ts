import { Module } from '@nestjs/common';
import { DeliveryModule } from '../delivery/delivery.module.js';
import { AnalyticsController } from './analytics.controller.js';
import { AnalyticsService } from './analytics.service.js';
import { ExplainController } from './explain.controller.js';
import { ExplainService } from './explain.service.js';

/** Read-only questions over the tables of all other modules. Owns no table. */
@Module({
  imports: [DeliveryModule],
  controllers: [AnalyticsController, ExplainController],
  providers: [AnalyticsService, ExplainService],
  exports: [AnalyticsService, ExplainService],
})
export class AnalyticsModule {}
