import { Module } from '@nestjs/common';
import { SubscribersController } from './subscribers.controller.js';
import { SubscribersService } from './subscribers.service.js';
import { SuppressionsController } from './suppressions.controller.js';
import { SuppressionsService } from './suppressions.service.js';
import { TagsController } from './tags.controller.js';

/**
 * Who we may write to: status, evidence of consent, tags, suppression. Owns `subscriber`, `consent_event`, `tag`,
 * `subscriber_tag` and `suppression`.
 */
@Module({
  controllers: [SubscribersController, TagsController, SuppressionsController],
  providers: [SubscribersService, SuppressionsService],
  exports: [SubscribersService, SuppressionsService],
})
export class SubscribersModule {}
