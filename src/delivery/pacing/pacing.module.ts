import { Module } from '@nestjs/common';
import { AlertsModule } from '../../infra/alerts/alerts.module.js';
import { GenerationGuard } from '../generation/generation-guard.service.js';
import { GenerationQueries } from '../generation/generation.queries.js';
import { LedgerNoteFile } from '../generation/ledger-note.service.js';
import { FrequencyCapController } from './frequency-cap.controller.js';
import { FrequencyCapService } from './frequency-cap.service.js';
import { HeldController } from './held.controller.js';
import { HeldQueries } from './held.queries.js';
import { HeldService } from './held.service.js';
import { LaneMoves } from './lane-moves.queries.js';
import { MailDomainsService, MX_RESOLVER, SystemMxResolver } from './mail-domains.service.js';
import { OverdueService } from './overdue.service.js';
import { PacingJobs } from './pacing.jobs.js';
import { PacingQueries } from './pacing.queries.js';
import { PacingService } from './pacing.service.js';
import { Receivers } from './receivers.service.js';
import { RelaysQueries } from './relays.queries.js';
import { RelaysService } from './relays.service.js';
import { StaleMails } from './stale-mails.service.js';
import { SequencePausesController } from './sequence-pauses.controller.js';
import { SequencePauses } from './sequence-pauses.service.js';
import { SequenceUnknowns } from './sequence-unknowns.service.js';
import { SendingController } from './sending.controller.js';
import { SendingQueries } from './sending.queries.js';
import { SendingService } from './sending.service.js';
import { SendingSettingsService } from './sending-settings.service.js';

/**
 * Whether, how fast and through which relay mails go out. Owns `send_bucket`, `mail_domain`, `relay_state`, `sequence_pause` and the
 * settings `sending.*` and `ledger.generation`.
 */
@Module({
  imports: [AlertsModule],
  controllers: [SendingController, FrequencyCapController, HeldController, SequencePausesController],
  providers: [
    PacingService,
    PacingQueries,
    RelaysService,
    RelaysQueries,
    GenerationGuard,
    GenerationQueries,
    LedgerNoteFile,
    OverdueService,
    HeldService,
    HeldQueries,
    LaneMoves,
    Receivers,
    MailDomainsService,
    { provide: MX_RESOLVER, useClass: SystemMxResolver },
    SequencePauses,
    SequenceUnknowns,
    SendingService,
    SendingQueries,
    SendingSettingsService,
    FrequencyCapService,
    StaleMails,
    PacingJobs,
  ],
  exports: [
    PacingService,
    RelaysService,
    GenerationGuard,
    OverdueService,
    HeldService,
    MailDomainsService,
    SequencePauses,
    SequenceUnknowns,
    SendingService,
    SendingSettingsService,
    FrequencyCapService,
  ],
})
export class PacingModule {}
