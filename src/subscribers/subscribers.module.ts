import { Module } from '@nestjs/common';
import { BatchChangesQueries } from './batch-changes.queries.js';
import { LeaveService } from './leave.service.js';
import { SubscribersController } from './subscribers.controller.js';
import { SubscribersService } from './subscribers.service.js';
import { SuppressionsController } from './suppressions.controller.js';
import { SuppressionsService } from './suppressions.service.js';
import { TagsController } from './tags.controller.js';
import { TopicsService } from './topics.service.js';
import { UndeliverableService } from './undeliverable.service.js';

/**
 * Who we may write to: status, evidence of consent, tags, suppression. Owns `subscriber`, `consent_event`, `tag`,
 * `subscriber_tag`, `suppression`, `topic_opt_out` and `leave_reason`.
 */
@Module({
  controllers: [SubscribersController, TagsController, SuppressionsController],
  providers: [
    SubscribersService,
    SuppressionsService,
    TopicsService,
    LeaveService,
    UndeliverableService,
    BatchChangesQueries,
  ],
  exports: [
    SubscribersService,
    SuppressionsService,
    TopicsService,
    LeaveService,
    UndeliverableService,
    BatchChangesQueries,
  ],
})
export class SubscribersModule {}
