import { Module } from '@nestjs/common';
import { AlertsModule } from '../../infra/alerts/alerts.module.js';
import { GenerationModule } from '../generation/generation.module.js';
import { RelaysModule } from '../relays/relays.module.js';
import { HeldController } from './held.controller.js';
import { HeldQueries } from './held.queries.js';
import { HeldService } from './held.service.js';
import { OverdueService } from './overdue.service.js';
import { SendHours } from './send-hours.service.js';
import { SequencePausesController } from './sequence-pauses.controller.js';
import { SequencePauses } from './sequence-pauses.service.js';
import { SequenceUnknowns } from './sequence-unknowns.service.js';
import { StaleMails } from './stale-mails.service.js';

/**
 * Mails that wait for the owner's word or for their hour, and what becomes of those that have waited for too long. Owns
 * `sequence_pause`, `send_hours` and the settings `sending.overdue` and `sending.heartbeat`.
 */
@Module({
  imports: [AlertsModule, GenerationModule, RelaysModule],
  controllers: [HeldController, SequencePausesController],
  providers: [
    OverdueService,
    HeldService,
    HeldQueries,
    SequencePauses,
    SequenceUnknowns,
    SendHours,
    StaleMails,
  ],
  exports: [OverdueService, HeldService, SequencePauses, SequenceUnknowns, SendHours, StaleMails],
})
export class WaitingModule {}
