import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import type { ConsentWords } from './subscriber.js';
import { SubscribersService } from './subscribers.service.js';
import type { Topic } from './topic.js';

/**
 * What a person gets mails about: each funnel they were in or had mail of. An opt-out stops the topic's mails at the
 * claim and at the barrier, which read the row. Owns `topic_opt_out`.
 */
@Injectable()
export class TopicsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly subscribers: SubscribersService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Of every funnel. */
  async keys(): Promise<Set<string>> {
    const rows: { key: string }[] = await this.dataSource.query('select key from funnel');
    return new Set(rows.map(({ key }) => key));
  }

  /** By title. Served by message_subscriber, the unique key of enrollment and that of topic_opt_out. */
  async of(subscriberId: string, manager: EntityManager = this.dataSource.manager): Promise<Topic[]> {
    return manager.query(
      `with keys as (
         select q.funnel_key as key from enrollment e join sequence q on q.id = e.sequence_id where e.subscriber_id = $1
         union select m.funnel_key from message m
           where m.subscriber_id = $1 and m.class = 'marketing' and m.funnel_key is not null
         union select o.topic_key from topic_opt_out o where o.subscriber_id = $1)
       select k.key, coalesce(f.title, k.key) as title, o.topic_key is not null as "optedOut", o.created_at as since
       from keys k left join funnel f on f.key = k.key
       left join topic_opt_out o on o.subscriber_id = $1 and o.topic_key = k.key
       order by title, k.key`,
      [subscriberId],
    );
  }

  /** Idempotent; true when something changed. Kept as evidence with the words. Throws `SUBSCRIBER_NOT_FOUND`. */
  async set(
    manager: EntityManager,
    subscriberId: string,
    { topicKey, wanted, ...evidence }: { topicKey: string; wanted: boolean } & ConsentWords,
  ): Promise<boolean> {
    const changed = wanted
      ? await this.remove(manager, subscriberId, topicKey)
      : await this.add(manager, subscriberId, topicKey);
    if (!changed) return false;
    await this.subscribers.recordConsent(manager, {
      ...evidence,
      subscriberId,
      kind: wanted ? 'granted' : 'withdrawn',
      purpose: `topic:${topicKey}`,
    });
    return true;
  }

  private async add(manager: EntityManager, subscriberId: string, topicKey: string): Promise<boolean> {
    const rows: unknown[] = await manager.query(
      `insert into topic_opt_out (subscriber_id, topic_key, created_at) values ($1, $2, $3)
       on conflict do nothing returning topic_key`,
      [subscriberId, topicKey, this.clock.now()],
    );
    return rows.length === 1;
  }

  private async remove(manager: EntityManager, subscriberId: string, topicKey: string): Promise<boolean> {
    const [rows]: [unknown[], number] = await manager.query(
      'delete from topic_opt_out where subscriber_id = $1 and topic_key = $2 returning topic_key',
      [subscriberId, topicKey],
    );
    return rows.length === 1;
  }
}
