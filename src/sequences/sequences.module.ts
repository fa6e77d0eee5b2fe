import { Module } from '@nestjs/common';
import { AlertsModule } from '../infra/alerts/alerts.module.js';
import { DeliveryModule } from '../delivery/delivery.module.js';
import { PreflightModule } from '../delivery/preflight/preflight.module.js';
import { ExperimentsModule } from '../experiments/experiments.module.js';
import { SubscribersModule } from '../subscribers/subscribers.module.js';
import { SegmentsModule } from '../segments/segments.module.js';
import { BulkEnrollmentsService } from './enrollments/bulk-enrollments.service.js';
import { BulkEnrollmentsJobs } from './enrollments/bulk-enrollments.jobs.js';
import { ManualEnrollmentsController } from './enrollments/manual-enrollments.controller.js';
import { ManualEnrollmentsService } from './enrollments/manual-enrollments.service.js';
import { AdvanceService } from './advance/advance.service.js';
import { EffectsService } from './effects/effects.service.js';
import { EnrollingService } from './enrollments/enrolling.service.js';
import { EnrollmentsQueries } from './advance/enrollments.queries.js';
import { EnrollmentsService } from './enrollments/enrollments.service.js';
import { EventsController } from './events/events.controller.js';
import { EventsService } from './events/events.service.js';
import { PeopleMovesController } from './moves/people-moves.controller.js';
import { WaitingMails } from './moves/waiting-mails.service.js';
import { PeopleMovesService } from './moves/people-moves.service.js';
import { MailPreviewsController } from './previews/mail-previews.controller.js';
import { MailPreviews } from './previews/mail-previews.service.js';
import { MailEntriesService } from './events/mail-entries.service.js';
import { HitSignalsService } from './events/hit-signals.service.js';
import { HitWaitsService } from './events/hit-waits.service.js';
import { LateHitsService } from './events/late-hits.service.js';
import { ReactionsService } from './events/reactions.service.js';
import { OwnerNoticesService } from './effects/owner-notices.service.js';
import { SequencesController } from './sequences.controller.js';
import { SequencesJobs } from './sequences.jobs.js';
import { SequencesService } from './sequences.service.js';
import { SignalsService } from './events/signals.service.js';
import { SubscriberChangesController } from './subscriber-changes/subscriber-changes.controller.js';
import { SubscriberChangesService } from './subscriber-changes/subscriber-changes.service.js';
import { WebhooksController } from './effects/webhooks.controller.js';
import { WebhooksService } from './effects/webhooks.service.js';
import { ZoneChangesService } from './subscriber-changes/zone-changes.service.js';
import { ClosedSequencesJobs } from './closing/closed-sequences.jobs.js';
import { ClosedSequences } from './closing/closed-sequences.service.js';
import { ClockWatch } from './advance/clock-watch.service.js';
import { VersionsService } from './advance/versions.service.js';

/**
 * Which step is due for whom. Owns `sequence`, `sequence_version`, `enrollment` and its records,
 * `subscriber_event`, `sequence_signal`, `entry_hit`, `bulk_enrollment`, `webhook_delivery` and `owner_notice`. It plans messages and
 * never sends them.
 */
@Module({
  imports: [
    AlertsModule,
    SubscribersModule,
    SegmentsModule,
    DeliveryModule,
    PreflightModule,
    ExperimentsModule,
  ],
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
    ClosedSequences,
    SequencesService,
    EnrollmentsService,
    EnrollmentsQueries,
    EnrollingService,
    VersionsService,
    AdvanceService,
    ClockWatch,
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
    WaitingMails,
    OwnerNoticesService,
    ManualEnrollmentsService,
    BulkEnrollmentsService,
    ZoneChangesService,
    SubscriberChangesService,
    SequencesJobs,
    BulkEnrollmentsJobs,
    ClosedSequencesJobs,
  ],
  exports: [
    ClosedSequences,
    SequencesService,
    EnrollmentsService,
    MailPreviews,
    ReactionsService,
    PeopleMovesService,
    SubscriberChangesService,
    EventsService,
  ],
})
export class SequencesModule {}
