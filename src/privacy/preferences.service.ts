import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { EnrollmentsService } from '../sequences/enrollments.service.js';
import { UnsubscribeService } from '../signup/unsubscribe.service.js';
import { LeaveService } from '../subscribers/leave.service.js';
import type { Subscriber } from '../subscribers/subscriber.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';
import type { Topic } from '../subscribers/topic.js';
import { TopicsService } from '../subscribers/topics.service.js';
import { topicChanges, topicWords, TRACKING_WORDS, type PreferencesForm } from './preferences.js';

export interface Where {
  ip: string;
  userAgent: string;
}

const PAGE = 'preferences page';

/** What a person decides about themselves by the link in their mails. */
@Injectable()
export class PreferencesService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly subscribers: SubscribersService,
    private readonly topics: TopicsService,
    private readonly enrollments: EnrollmentsService,
    private readonly unsubscribe: UnsubscribeService,
    private readonly leaving: LeaveService,
  ) {}

  /** `null`: not a link of ours. `gone`: a genuine link of somebody whose data were erased. */
  async person(token: string): Promise<Subscriber | 'gone' | null> {
    const holder = await this.leaving.holder('preferences', token);
    if (holder === null) return null;
    const { subscriberId } = holder;
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

  /** In force at once: a topic's sequence ends with its opt-out, and the barrier reads it before the next mail's body. */
  async save(subscriberId: string, form: PreferencesForm, where: Where): Promise<void> {
    const evidence = { ...where, pageUrl: PAGE };
    await this.dataSource.transaction(async (manager) => {
      await this.subscribers.setTrackingConsent(manager, subscriberId, {
        ...evidence,
        allowed: form.trackingConsent,
        consentText: TRACKING_WORDS,
      });
      for (const { topicKey, title, wanted } of topicChanges(
        await this.topics.of(subscriberId, manager),
        form,
      )) {
        await this.topics.set(manager, subscriberId, {
          ...evidence,
          topicKey,
          wanted,
          consentText: topicWords(title),
        });
        if (!wanted) await this.enrollments.exitOnTopicOptOut(manager, subscriberId, topicKey);
      }
    });
  }

  async leave(subscriberId: string): Promise<void> {
    await this.unsubscribe.byId(subscriberId, 'preferences');
  }
}
