import type { EntityManager } from 'typeorm';
import type { BroadcastResults } from './broadcast.js';

/** Called for one broadcast. Served by `message_broadcast_mailbox`, `tracking_event_message` and `bounce_broadcast`. */
export async function broadcastResults(
  db: EntityManager,
  broadcastId: string,
): Promise<Omit<BroadcastResults, 'holdout'>> {
  const rows: Omit<BroadcastResults, 'holdout'>[] = await db.query(
    `with mail as (
       select id, subscriber_id, coalesce(accepted_at, data_at) as at from message
       where broadcast_id = $1 and state in ('accepted', 'unknown')),
     hit as (
       select count(distinct e.message_id) filter (where e.kind = 'open' and e.class in ('human', 'unknown')) as opened,
         count(distinct e.message_id) filter (where e.kind = 'click' and e.class = 'human') as clicked
       from mail m join tracking_event e on e.message_id = m.id),
     report as (
       select count(distinct message_id) filter (where verdict in ('hard', 'soft')) as bounced,
         count(distinct message_id) filter (where verdict = 'complaint') as complained
       from bounce where broadcast_id = $1 and trusted)
     select (select count(*) from mail)::int as sent, h.opened::int, h.clicked::int, r.bounced::int, r.complained::int,
       (select count(*) from mail m where exists (select 1 from consent_event c
         where c.subscriber_id = m.subscriber_id and c.kind = 'withdrawn' and c.purpose = 'marketing' and c.at >= m.at))::int as left
     from hit h cross join report r`,
    [broadcastId],
  );
  return rows[0] ?? { sent: 0, opened: 0, clicked: 0, bounced: 0, complained: 0, left: 0 };
}
