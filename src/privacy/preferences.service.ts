import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { retriedAfterDeadlock } from '../infra/database/deadlock.js';
import { UnsubscribeService } from '../signup/unsubscribe.service.js';
import { LeaveService, type Leaving } from '../subscribers/leave.service.js';
import type { Subscriber } from '../subscribers/subscriber.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';
import type { Topic } from '../subscribers/topic.js';
import { FROM_PREFERENCES, type PreferencesForm } from './preferences.js';
import { TopicChoicesService } from './topic-choices.service.js';
import { TrackingChoiceService } from './tracking-choice.service.js';

export interface Where {
  ip: string;
  userAgent: string;
}

const TRIES = 5;

/** What a person decides about themselves by the link in their mails. */
@Injectable()
export class PreferencesService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly subscribers: SubscribersService,
    private readonly topics: TopicChoicesService,
    private readonly tracking: TrackingChoiceService,
    private readonly unsubscribe: UnsubscribeService,
    private readonly leaving: LeaveService,
  ) {}

  /**
   * `null`: not a link of ours. `gone`: a genuine link of somebody whose data were erased. `lost`: a restored backup knows neither
   * its mail nor its reader.
   */
  async person(token: string): Promise<Subscriber | 'gone' | 'lost' | null> {
    const holder = await this.leaving.holder('preferences', token);
    if (holder === null) return null;
    const { subscriberId, messageId, senderName } = holder;
    // Those to nobody in particular, such as tests, have no number.
    if (subscriberId === null && senderName === null && messageId !== '0') return 'lost';
    return (subscriberId === null ? null : await this.subscribers.find(subscriberId)) ?? 'gone';
  }

  /** The mail the link stands in; null for a link we did not write. */
  async mailOf(token: string): Promise<string | null> {
    return (await this.leaving.holder('preferences', token))?.messageId ?? null;
  }

  /** Whose mail the link stood in. */
  async senderName(token: string): Promise<string | null> {
    return (await this.leaving.holder('preferences', token))?.senderName ?? null;
  }

  async topicsOf(subscriberId: string): Promise<Topic[]> {
    return this.topics.of(subscriberId);
  }

  /** In force at once: the barrier reads it before the next mail's body. */
  async save(subscriberId: string, form: PreferencesForm, where: Where): Promise<void> {
    const evidence = { ...where, pageUrl: FROM_PREFERENCES };
    // Whoever judges hits holds some of them, and waits for others that go with a consent.
    await retriedAfterDeadlock(TRIES, async () =>
      this.dataSource.transaction(async (manager) => {
        await this.tracking.save(manager, subscriberId, form.trackingConsent, evidence);
        await this.topics.save(manager, subscriberId, form, evidence);
      }),
    );
  }

  async leave(token: string): Promise<Leaving> {
    return this.unsubscribe.byPreferences(token);
  }
}
