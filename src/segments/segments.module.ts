import { Module } from '@nestjs/common';
import { SubscribersModule } from '../subscribers/subscribers.module.js';
import { SegmentsController } from './segments.controller.js';
import { SegmentsQueries } from './segments.queries.js';
import { SegmentsService } from './segments.service.js';

/** Named sets of subscribers, by what they are and what they did. Owns `segment`. */
@Module({
  imports: [SubscribersModule],
  controllers: [SegmentsController],
  providers: [SegmentsService, SegmentsQueries],
  exports: [SegmentsService],
})
export class SegmentsModule {}
