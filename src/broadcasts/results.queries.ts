import type { EntityManager } from 'typeorm';
import type { Money } from '../values/money.js';
import type { BroadcastResults, WordsResults } from './broadcast.js';

type Mails = Omit<BroadcastResults, 'holdout' | 'orders' | 'revenue' | 'ordersOfArms' | 'words'>;

/** Called for one broadcast. Served by `message_broadcast_mailbox`, `tracking_event_message` and `bounce_broadcast`. */
export async function broadcastResults(
  db: EntityManager,
  broadcastId: string,
): Promise<Omit<BroadcastResults, 'holdout'>> {
  const rows: Mails[] = await db.query(
    `with mail as (
       select id, subscriber_id, coalesce(accepted_at, data_at) as at from message m
       where broadcast_id = $1 and (state = 'accepted'
         or (state = 'unknown' and exists (select from tracking_event e where e.message_id = m.id)))),
     hit as (
       select count(distinct e.message_id) filter (where e.kind = 'open' and e.class in ('human', 'unknown')) as opened,
         count(distinct e.message_id) filter (where e.kind = 'click' and e.class = 'human') as clicked
       from mail m join tracking_event e on e.message_id = m.id),
     report as (
       select count(distinct message_id) filter (where verdict in ('hard', 'soft')) as bounced,
         count(distinct message_id) filter (where verdict in ('hard', 'soft') and not exists (select from mail m where m.id = message_id)) as refused,
         count(distinct message_id) filter (where verdict = 'complaint') as complained
       from bounce where broadcast_id = $1 and trusted)
     select (select count(*) from mail)::int as sent, ((select count(*) from mail) + r.refused)::int as tried, h.opened::int, h.clicked::int, r.bounced::int, r.complained::int,
       (select count(*) from mail m where exists (select 1 from consent_event c
         where c.subscriber_id = m.subscriber_id and c.kind = 'withdrawn' and c.purpose = 'marketing' and c.at >= m.at))::int as left
     from hit h cross join report r`,
    [broadcastId],
  );
  const mails = rows[0] ?? { sent: 0, tried: 0, opened: 0, clicked: 0, bounced: 0, complained: 0, left: 0 };
  return {
    ...mails,
    ...(await ordersByLinks(db, broadcastId)),
    words: await resultsOfWords(db, broadcastId),
  };
}

/** As above, of a broadcast whose words were changed on the way: only then are its mails read once more. */
async function resultsOfWords(db: EntityManager, broadcastId: string): Promise<WordsResults[] | null> {
  const [broadcast]: { versions: string[] }[] = await db.query(
    `select (select array_agg(distinct v::text) from jsonb_each_text(b.reworded) w, unnest(array[w.key, w.value]) v) as versions
     from broadcast b where b.id = $1 and b.reworded is not null`,
    [broadcastId],
  );
  if (!broadcast) return null;
  return db.query(
    `with mail as (
       select m.id, m.email_template_id as version from message m
       where m.broadcast_id = $1 and m.email_template_id = any($2::bigint[]) and (m.state = 'accepted'
         or (m.state = 'unknown' and exists (select from tracking_event e where e.message_id = m.id)))),
     sent as (select version, count(*) as count from mail group by 1),
     hit as (
       select m.version, count(distinct e.message_id) filter (where e.kind = 'open' and e.class in ('human', 'unknown')) as opened,
         count(distinct e.message_id) filter (where e.kind = 'click' and e.class = 'human') as clicked
       from mail m join tracking_event e on e.message_id = m.id group by 1),
     report as (
       select m.email_template_id as version, count(distinct r.message_id) filter (where r.verdict in ('hard', 'soft')) as bounced,
         count(distinct r.message_id) filter (where r.verdict = 'complaint') as complained
       from bounce r join message m on m.id = r.message_id where r.broadcast_id = $1 and r.trusted group by 1)
     select t.id as "templateId", t.key as template, t.subject, not b.reworded ? t.id::text as "isCurrent",
       coalesce(s.count, 0)::int as sent, coalesce(h.opened, 0)::int as opened, coalesce(h.clicked, 0)::int as clicked,
       coalesce(r.bounced, 0)::int as bounced, coalesce(r.complained, 0)::int as complained
     from email_template t join broadcast b on b.id = $1
       left join sent s on s.version = t.id left join hit h on h.version = t.id left join report r on r.version = t.id
     where t.id = any($2::bigint[]) order by (select min(m.id) from mail m where m.version = t.id) nulls last, t.id`,
    [broadcastId, broadcast.versions],
  );
}

/**
 * Orders by whoever came through a link of its mails, a friend too to whom one was passed on; each counts for the arm whose
 * mail it was. Paid ones, less what went back. Served by `message_broadcast_mailbox` and `conversion_message`.
 */
async function ordersByLinks(
  db: EntityManager,
  broadcastId: string,
): Promise<Pick<BroadcastResults, 'orders' | 'revenue' | 'ordersOfArms'>> {
  const rows: {
    arm: number | null;
    isTest: boolean;
    orders: number;
    currency: string;
    amountMinor: number;
  }[] = await db.query(
    `select case when m.arm < 0 then -1 - m.arm else m.arm end as arm, b.split is not null as "isTest", c.currency,
         count(*)::int as orders, sum(c.amount_minor - coalesce(o.refunded_minor, 0))::float8 as "amountMinor"
       from message m join broadcast b on b.id = m.broadcast_id join conversion c on c.message_id = m.id and c.kind = 'order'
         left join orders o on o.id = c.order_id
       where m.broadcast_id = $1 and coalesce(o.status, 'paid') = 'paid' group by 1, 2, 3 order by 1 nulls last, 3`,
    [broadcastId],
  );
  const sum = (own: typeof rows): { orders: number; revenue: Money[] } => ({
    orders: own.reduce((count, { orders }) => count + orders, 0),
    revenue: [...new Set(own.map(({ currency }) => currency))].map((currency) => ({
      amountMinor: own.reduce((all, one) => all + (one.currency === currency ? one.amountMinor : 0), 0),
      currency,
    })),
  });
  const arms = [...new Set(rows.flatMap(({ arm, isTest }) => (isTest ? [arm] : [])))];
  return {
    ...sum(rows),
    ordersOfArms: arms.map((arm) => ({ arm, ...sum(rows.filter((one) => one.arm === arm)) })),
  };
}
