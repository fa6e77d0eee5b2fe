import { Module } from '@nestjs/common';
import { AlertsModule } from '../../infra/alerts/alerts.module.js';
import { SubscribersModule } from '../../subscribers/subscribers.module.js';
import { GenerationModule } from '../generation/generation.module.js';
import { RelaysModule } from '../relays/relays.module.js';
import { WaitingModule } from '../waiting/waiting.module.js';
import { AwaitedMailsJobs } from './awaited-mails.jobs.js';
import { AwaitedMails } from './awaited-mails.service.js';
import { FrequencyCapController } from './frequency-cap.controller.js';
import { FrequencyCapService } from './frequency-cap.service.js';
import { QueueMoves } from './queue-moves.queries.js';
import { MailDomainsService, MX_RESOLVER, SystemMxResolver } from './mail-domains.service.js';
import { PacingJobs } from './pacing.jobs.js';
import { PacingQueries } from './pacing.queries.js';
import { PacingService } from './pacing.service.js';
import { Receivers } from './receivers.service.js';
import { SendingController } from './sending.controller.js';
import { SendingQueries } from './sending.queries.js';
import { SendingService } from './sending.service.js';
import { SendingSettingsService } from './sending-settings.service.js';

/** How fast mails go out. Owns `send_bucket`, `mail_domain` and the settings `sending.frequency` and `sending.mx-cursor`. */
@Module({
  imports: [AlertsModule, SubscribersModule, GenerationModule, RelaysModule, WaitingModule],
  controllers: [SendingController, FrequencyCapController],
  providers: [
    PacingService,
    PacingQueries,
    QueueMoves,
    Receivers,
    MailDomainsService,
    { provide: MX_RESOLVER, useClass: SystemMxResolver },
    SendingService,
    SendingQueries,
    SendingSettingsService,
    FrequencyCapService,
    PacingJobs,
    AwaitedMails,
    AwaitedMailsJobs,
  ],
  exports: [
    GenerationModule,
    RelaysModule,
    WaitingModule,
    PacingService,
    MailDomainsService,
    SendingService,
    SendingSettingsService,
    FrequencyCapService,
  ],
})
export class PacingModule {}
