import { Module } from '@nestjs/common';
import { DeliveryModule } from '../delivery/delivery.module.js';
import { PreflightModule } from '../delivery/preflight/preflight.module.js';
import { ExperimentsModule } from '../experiments/experiments.module.js';
import { SubscribersModule } from '../subscribers/subscribers.module.js';
import { SegmentsModule } from '../segments/segments.module.js';
import { BulkEnrollmentsService } from './bulk-enrollments.service.js';
import { EnrollmentsJobs } from './enrollments.jobs.js';
import { ManualEnrollmentsController } from './manual-enrollments.controller.js';
import { ManualEnrollmentsService } from './manual-enrollments.service.js';
import { AdvanceService } from './advance.service.js';
import { EffectsService } from './effects.service.js';
import { EnrollingService } from './enrolling.service.js';
import { EnrollmentsQueries } from './enrollments.queries.js';
import { EnrollmentsService } from './enrollments.service.js';
import { EventsController } from './events.controller.js';
import { EventsService } from './events.service.js';
import { PeopleMovesController } from './people-moves.controller.js';
import { PeopleMovesService } from './people-moves.service.js';
import { MailPreviewsController } from './mail-previews.controller.js';
import { MailPreviews } from './mail-previews.service.js';
import { MailEntriesService } from './mail-entries.service.js';
import { HitSignalsService } from './hit-signals.service.js';
import { HitWaitsService } from './hit-waits.service.js';
import { LateHitsService } from './late-hits.service.js';
import { ReactionsService } from './reactions.service.js';
import { OwnerNoticesService } from './owner-notices.service.js';
import { SequencesController } from './sequences.controller.js';
import { SequencesJobs } from './sequences.jobs.js';
import { SequencesService } from './sequences.service.js';
import { SignalsService } from './signals.service.js';
import { SubscriberChangesController } from './subscriber-changes.controller.js';
import { SubscriberChangesService } from './subscriber-changes.service.js';
import { WebhooksController } from './webhooks.controller.js';
import { WebhooksService } from './webhooks.service.js';
import { ZoneChangesService } from './zone-changes.service.js';
import { VersionsService } from './versions.service.js';

/**
 * Which step is due for whom. Owns `sequence`, `sequence_version`, `enrollment` and its records,
 * `subscriber_event`, `sequence_signal`, `entry_hit`, `bulk_enrollment`, `webhook_delivery` and `owner_notice`. It plans messages and
 * never sends them.
 */
@Module({
  imports: [SubscribersModule, SegmentsModule, DeliveryModule, PreflightModule, ExperimentsModule],
  controllers: [
    SequencesController,
    EventsController,
    SubscriberChangesController,
    WebhooksController,
    PeopleMovesController,
    ManualEnrollmentsController,
    MailPreviewsController,
  ],
  providers: [
    SequencesService,
    EnrollmentsService,
    EnrollmentsQueries,
    EnrollingService,
    VersionsService,
    AdvanceService,
    EffectsService,
    ReactionsService,
    SignalsService,
    HitSignalsService,
    HitWaitsService,
    LateHitsService,
    MailEntriesService,
    MailPreviews,
    EventsService,
    WebhooksService,
    PeopleMovesService,
    OwnerNoticesService,
    ManualEnrollmentsService,
    BulkEnrollmentsService,
    ZoneChangesService,
    SubscriberChangesService,
    SequencesJobs,
    EnrollmentsJobs,
  ],
  exports: [
    SequencesService,
    EnrollmentsService,
    ReactionsService,
    PeopleMovesService,
    SubscriberChangesService,
  ],
})
export class SequencesModule {}
