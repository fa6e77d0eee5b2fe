import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { ReferralsService, type TouchSource } from '../affiliates/referrals.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { TrackingService } from '../tracking/tracking.service.js';
import type { Form } from './forms.service.js';
import type { Origin } from './origin.js';

/** What a sign-up leaves behind for the figures: the conversion, and by whose link the person came. */
@Injectable()
export class SignupTraces {
  constructor(
    private readonly tracking: TrackingService,
    private readonly referrals: ReferralsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  visitorId({ ip, userAgent, at }: Origin): Buffer {
    return this.tracking.visitorId(ip, userAgent, at ?? this.clock.now());
  }

  async signedUp(
    manager: EntityManager,
    {
      form: { funnelKey },
      signupId,
      mayRefer,
      subscriberId,
      visitorId,
      source,
      at,
    }: {
      form: Form;
      signupId: string;
      /** Whether it may say by whose link the person came, once it is confirmed. */
      mayRefer: boolean;
      subscriberId: string;
      visitorId: Buffer;
      source: TouchSource;
      at: Date | undefined;
    },
  ): Promise<void> {
    await this.tracking.recordConversion(manager, {
      kind: 'signup',
      funnelKey,
      dedupeKey: `signup:${signupId}`,
      subscriberId,
      visitorId,
    });
    if (mayRefer) await this.referrals.signedUp(manager, { signupId, funnelKey, visitorId, source, at });
  }

  async confirmed(
    manager: EntityManager,
    { form, signupId, subscriberId }: { form: Form; signupId: string; subscriberId: string },
  ): Promise<void> {
    await this.tracking.recordConversion(manager, {
      kind: 'confirmation',
      funnelKey: form.funnelKey,
      dedupeKey: `confirmation:${signupId}`,
      subscriberId,
    });
    await this.referrals.confirmed(manager, { signupId, subscriberId, isProven: form.optIn === 'double' });
  }
}
