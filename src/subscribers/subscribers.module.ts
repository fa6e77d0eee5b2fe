import { Module } from '@nestjs/common';
import { AddressChanges } from './address-changes.service.js';
import { BatchChangesQueries } from './batch-changes.queries.js';
import { FieldsController } from './fields.controller.js';
import { FieldsService } from './fields.service.js';
import { Keepers } from './keepers.service.js';
import { KeptLeavings } from './kept-leavings.service.js';
import { LeaveService } from './leave.service.js';
import { LeavingsAlerts } from './leavings-alerts.service.js';
import { ListsController } from './lists.controller.js';
import { ListsService } from './lists.service.js';
import { SubscribersController } from './subscribers.controller.js';
import { SubscribersService } from './subscribers.service.js';
import { SuppressionsController } from './suppressions.controller.js';
import { SuppressionsService } from './suppressions.service.js';
import { TagsController } from './tags.controller.js';
import { TagsService } from './tags.service.js';
import { TopicsService } from './topics.service.js';
import { UndeliverableController } from './undeliverable.controller.js';
import { UndeliverableService } from './undeliverable.service.js';
import { WaitingLeavings } from './waiting-leavings.service.js';

/**
 * Who we may write to: status, evidence of consent, tags, suppression. Owns `subscriber`, `consent_event`, `tag`,
 * `subscriber_tag`,
 * `suppression`, `topic_opt_out`, `leave_reason`, `subscriber_field`, `list`, `list_member`, `listened_tag`, `tag_signal`,
 * `listened_field`, `field_signal`, `address_change`, `seen_to_forget`, `topic_to_leave`, `leavings_keeper` and `waiting_leaving`.
 */
@Module({
  controllers: [
    SubscribersController,
    TagsController,
    FieldsController,
    ListsController,
    SuppressionsController,
    UndeliverableController,
  ],
  providers: [
    SubscribersService,
    AddressChanges,
    SuppressionsService,
    TopicsService,
    LeaveService,
    Keepers,
    KeptLeavings,
    LeavingsAlerts,
    WaitingLeavings,
    UndeliverableService,
    BatchChangesQueries,
    FieldsService,
    ListsService,
    TagsService,
  ],
  exports: [
    SubscribersService,
    AddressChanges,
    SuppressionsService,
    TopicsService,
    LeaveService,
    Keepers,
    KeptLeavings,
    LeavingsAlerts,
    UndeliverableService,
    BatchChangesQueries,
    FieldsService,
    ListsService,
    TagsService,
  ],
})
export class SubscribersModule {}
