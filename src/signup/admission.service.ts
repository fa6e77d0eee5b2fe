import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { handedOverUntil } from '../infra/files/download-link.js';
import { FilesService } from '../infra/files/files.service.js';
import { EnrollmentsService } from '../sequences/enrollments/enrollments.service.js';
import type { SubscriberFields } from '../subscribers/subscriber.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';
import { TopicsService } from '../subscribers/topics.service.js';
import type { Form } from './forms.service.js';
import type { Origin } from './origin.js';
import { SignupTraces } from './signup-traces.service.js';

interface Admission {
  form: Form;
  signupId: string;
  subscriberId: string;
  download: { url: string; name: string } | null;
  origin: Origin;
  /** What they have answered on the form. */
  answers: SubscriberFields;
  /** Else the answers only fill gaps. */
  isProven: boolean;
}

/** What a confirmed sign-up leads to: the right to write, the conversion, the place in the sequence. */
@Injectable()
export class AdmissionService {
  constructor(
    private readonly subscribers: SubscribersService,
    private readonly topics: TopicsService,
    private readonly traces: SignupTraces,
    private readonly enrollments: EnrollmentsService,
    private readonly files: FilesService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * `refused`, with nothing changed, for an address that is dead or whose owner complained: no form lifts that. `left`,
   * with nothing changed either, for somebody who has left since this sign-up: an old link is no new consent. `enrolled` who
   * begins the sequence; one that has been in it may be `admitted` alone, and gets no mail of it.
   */
  async admit(
    manager: EntityManager,
    { form, signupId, subscriberId, download, origin, answers, isProven }: Admission,
  ): Promise<'enrolled' | 'admitted' | 'refused' | 'left'> {
    const activated = await this.subscribers.activate(manager, subscriberId, {
      fields: answers,
      gapsOnly: !isProven,
    });
    if (activated === 'refused' || activated === 'left') return activated;
    await this.subscribers.recordConsent(manager, {
      subscriberId,
      kind: 'confirmed',
      purpose: 'marketing',
      consentText: form.consentText,
      formSlug: form.slug,
      ...origin,
    });
    // They have just asked for this funnel: an opt-out from before would make the sign-up silently void.
    await this.topics.set(manager, subscriberId, { topicKey: form.funnelKey, wanted: true, ...origin });
    await this.traces.confirmed(manager, { form, signupId, subscriberId });
    const enrolled = await this.enrollments.enroll(manager, {
      sequenceKey: form.sequenceKey,
      subscriberId,
      data: download === null ? {} : { download },
    });
    return enrolled === 'enrolled' ? 'enrolled' : 'admitted';
  }

  async leadMagnet(
    manager: EntityManager,
    { leadMagnetFileId }: Form,
  ): Promise<{ url: string; name: string } | null> {
    if (leadMagnetFileId === null) return null;
    const expiresAt = handedOverUntil(this.clock.now());
    const [file] = await this.files.downloads([leadMagnetFileId], { expiresAt }, manager);
    return file ? { url: file.url, name: file.name } : null;
  }
}
