import type { EntityManager } from 'typeorm';
import type { HitClass, HitVerdict } from './hit-class.js';

export interface ListedHit {
  id: string;
  kind: 'open' | 'click';
  messageId: string;
  subscriberId: string | null;
  linkId: string | null;
  url: string | null;
  class: HitClass;
  reason: string;
  ruleVersion: number;
  settlesAt: Date | null;
  earlier: (HitVerdict & { ruleVersion: number })[] | null;
  userAgent: string | null;
  at: Date;
}

export interface HitFilter {
  beforeId: string | undefined;
  limit: number;
  messageId: string | undefined;
  subscriberId: string | undefined;
  class: HitClass | undefined;
  kind: 'open' | 'click' | undefined;
}

/**
 * Newest first, below `beforeId`. A mail's are served by tracking_event_message, a subscriber's by message_subscriber
 * and that; else it reads down the primary key.
 */
export async function listHits(db: EntityManager, filter: HitFilter): Promise<ListedHit[]> {
  return db.query(
    `select e.id, e.kind, e.message_id as "messageId", m.subscriber_id as "subscriberId", e.link_id as "linkId",
            l.url_template as url, e.class, e.reason, e.rule_version as "ruleVersion", e.settles_at as "settlesAt", e.earlier,
            e.user_agent as "userAgent", e.at
       from tracking_event e join message m on m.id = e.message_id left join link l on l.id = e.link_id
      where ($1::bigint is null or e.id < $1) and ($3::bigint is null or e.message_id = $3)
        and ($4::bigint is null or m.subscriber_id = $4) and ($5::text is null or e.class = $5)
        and ($6::text is null or e.kind = $6)
      order by e.id desc limit $2`,
    [
      filter.beforeId ?? null,
      filter.limit,
      filter.messageId ?? null,
      filter.subscriberId ?? null,
      filter.class ?? null,
      filter.kind ?? null,
    ],
  );
}
