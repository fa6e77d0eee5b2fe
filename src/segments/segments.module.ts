import { Module } from '@nestjs/common';
import { SubscribersModule } from '../subscribers/subscribers.module.js';
import { FieldBlocksJobs } from './field-blocks.jobs.js';
import { FieldBlocksService } from './field-blocks.service.js';
import { SegmentsController } from './segments.controller.js';
import { SegmentsQueries } from './segments.queries.js';
import { SegmentsService } from './segments.service.js';
import { TagChangesController } from './tag-changes.controller.js';
import { TagChangesService } from './tag-changes.service.js';

/** Named sets of subscribers, by what they are and what they did. Owns `segment`, `field_block` and `stale_block`. */
@Module({
  imports: [SubscribersModule],
  controllers: [SegmentsController, TagChangesController],
  providers: [SegmentsService, SegmentsQueries, FieldBlocksService, FieldBlocksJobs, TagChangesService],
  exports: [SegmentsService, TagChangesService],
})
export class SegmentsModule {}
