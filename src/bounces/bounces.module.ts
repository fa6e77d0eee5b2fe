import { Module } from '@nestjs/common';
import { DeliveryModule } from '../delivery/delivery.module.js';
import { RateLimitsModule } from '../infra/rate-limits/rate-limits.module.js';
import { SubscribersModule } from '../subscribers/subscribers.module.js';
import { BounceImap } from './bounce-imap.service.js';
import { BounceSmtpServer } from './bounce-smtp.server.js';
import { BouncesController } from './bounces.controller.js';
import { BouncesJobs } from './bounces.jobs.js';
import { BouncesQueries } from './bounces.queries.js';
import { BouncesService } from './bounces.service.js';
import { BringerProof } from './bringer-proof.service.js';
import { HooksController } from './hooks.controller.js';
import { HooksService } from './hooks.service.js';
import { IntakeWatch } from './intake-watch.service.js';
import { BounceIntake } from './bounce-intake.service.js';
import { OutcomesService } from './outcomes.service.js';
import { ReporterProof } from './reporter-proof.service.js';
import { RatesWatch } from './rates-watch.service.js';
import { RefusingMailboxes } from './refusing-mailboxes.service.js';
import { SnsVerifier } from './sns-verifier.service.js';

/**
 * What comes back: bounces, complaints, unsubscribe mails, by SMTP, from a mailbox and by webhook. Owns `bounce`. Nothing
 * takes effect without a token of ours; an address alone proves nothing.
 */
@Module({
  imports: [DeliveryModule, RateLimitsModule, SubscribersModule],
  controllers: [BouncesController, HooksController],
  providers: [
    BouncesService,
    BouncesQueries,
    BouncesJobs,
    OutcomesService,
    RatesWatch,
    RefusingMailboxes,
    ReporterProof,
    BringerProof,
    BounceIntake,
    IntakeWatch,
    BounceSmtpServer,
    BounceImap,
    HooksService,
    SnsVerifier,
  ],
  exports: [BounceSmtpServer, BouncesService, IntakeWatch],
})
export class BouncesModule {}
