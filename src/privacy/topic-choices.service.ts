import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { doEachTaken } from '../infra/database/each-taken.js';
import { EnrollmentsService } from '../sequences/enrollments/enrollments.service.js';
import { takeTopicToLeave } from '../subscribers/subscribers.queries.js';
import type { Topic } from '../subscribers/topic.js';
import { TopicsService } from '../subscribers/topics.service.js';
import { topicChanges, topicWords, type PreferencesForm } from './preferences.js';
import type { Evidence } from './tracking-choice.service.js';

/** What people want to hear about. */
@Injectable()
export class TopicChoicesService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly topics: TopicsService,
    private readonly enrollments: EnrollmentsService,
  ) {}

  async of(subscriberId: string): Promise<Topic[]> {
    return this.topics.of(subscriberId);
  }

  /** A topic's sequence ends with its opt-out. */
  async save(
    manager: EntityManager,
    subscriberId: string,
    form: PreferencesForm,
    evidence: Evidence,
  ): Promise<void> {
    const known = await this.topics.of(subscriberId, manager);
    for (const { topicKey, title, wanted } of topicChanges(known, form)) {
      const decision = { ...evidence, topicKey, wanted, consentText: topicWords(title) };
      await this.topics.set(manager, subscriberId, decision);
      if (!wanted) await this.enrollments.exitOnTopicOptOut(manager, subscriberId, topicKey);
    }
  }

  /** Of those who said so in an imported table: the import stands before the sequences, and cannot reach them. */
  async leaveImported(signal: AbortSignal): Promise<void> {
    await doEachTaken<{ subscriberId: string; topicKey: string }>(
      this.dataSource,
      signal,
      async (manager, after) => {
        const left = await takeTopicToLeave(manager, after);
        return (
          left && {
            key: left,
            work: async () => {
              if (!left.isWanted)
                await this.enrollments.exitOnTopicOptOut(manager, left.subscriberId, left.topicKey);
            },
          }
        );
      },
    );
  }
}
