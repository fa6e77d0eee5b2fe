import { Module } from '@nestjs/common';
import { ClicksController } from './clicks.controller.js';
import { ConversionsController } from './conversions.controller.js';
import { TrackingService } from './tracking.service.js';

/** Opens, clicks, visits, conversions. Owns `tracking_event`, `visit` and `conversion`. */
@Module({
  controllers: [ClicksController, ConversionsController],
  providers: [TrackingService],
  exports: [TrackingService],
})
export class TrackingModule {}
