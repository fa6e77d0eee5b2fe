import type { EntityManager } from 'typeorm';
import type { Money } from '../values/money.js';
import type { FunnelCounts, MailStep, StepCounts, UpsellCounts } from './funnel-report.js';
import type { Period } from './period.js';

export interface FunnelRow {
  id: string;
  key: string;
  title: string;
  createdAt: Date;
  /** Currency of its first product; EUR for a funnel that sells nothing. */
  currency: string;
}

const FUNNEL = `select f.id, f.key, f.title, f.created_at as "createdAt",
    coalesce((select p.currency from product p where p.funnel_key = f.key order by p.archived_at nulls first, p.id limit 1), 'EUR') as currency
  from funnel f`;

export async function findFunnel(db: EntityManager, key: string): Promise<FunnelRow | null> {
  const rows: FunnelRow[] = await db.query(`${FUNNEL} where f.key = $1`, [key]);
  return rows[0] ?? null;
}

export async function listFunnels(db: EntityManager): Promise<FunnelRow[]> {
  return db.query(`${FUNNEL} where f.archived_at is null order by f.title, f.key`);
}

/** Newest first. */
export async function pageOfFunnels(
  db: EntityManager,
  { beforeId, limit }: { beforeId?: string | undefined; limit: number },
): Promise<FunnelRow[]> {
  return db.query(`${FUNNEL} where $1::bigint is null or f.id < $1 order by f.id desc limit $2`, [
    beforeId ?? null,
    limit,
  ]);
}

/** `$2` and `$3` are the period; a null end is open. */
const within = (column: string): string =>
  `($2::timestamptz is null or ${column} >= $2) and ($3::timestamptz is null or ${column} < $3)`;

/**
 * The stages of one funnel. Visitors and viewers are counted once each; the id of a visitor is new every day, so
 * somebody who comes back tomorrow counts again. Scanners of mail gateways are no visitors. Served by visit_funnel,
 * conversion_funnel and orders_funnel.
 */
export async function countStages(db: EntityManager, key: string, period: Period): Promise<FunnelCounts> {
  const rows: FunnelCounts[] = await db.query(
    `select
       (select count(distinct visitor_id) from visit
         where funnel_key = $1 and page = 'squeeze' and class <> 'scanner' and ${within('at')})::int as "visitors",
       (select count(*) from conversion where funnel_key = $1 and kind = 'signup' and ${within('at')})::int as "signUps",
       (select count(*) from conversion where funnel_key = $1 and kind = 'confirmation' and ${within('at')})::int as "confirmed",
       (select count(distinct coalesce(subscriber_id::text, encode(visitor_id, 'hex'))) from visit
         where funnel_key = $1 and page = 'offer' and class <> 'scanner' and ${within('at')})::int as "offerViews",
       (select count(*) from orders
         where funnel_key = $1 and parent_order_id is null and status in ('paid', 'refunded') and ${within('paid_at')})::int as "orders",
       (select count(*) from orders
         where funnel_key = $1 and parent_order_id is null and status = 'refunded' and ${within('paid_at')})::int as "refunds"`,
    [key, period.from, period.to],
  );
  return rows[0] ?? { visitors: 0, signUps: 0, confirmed: 0, offerViews: 0, orders: 0, refunds: 0 };
}

/**
 * What was offered after orders, by offer: shown to how many, taken (paid, refunded since or not) and declined by how many of
 * these, and what it earned in the currency of today's price. Served by upsell_offer.
 */
export async function countUpsells(db: EntityManager, key: string, period: Period): Promise<UpsellCounts[]> {
  return db.query(
    `select f.slug as offer, count(*)::int as shown,
            count(*) filter (where o.status in ('paid', 'refunded'))::int as taken,
            count(*) filter (where u.answer = 'declined')::int as declined,
            jsonb_build_object('amountMinor', coalesce(sum(o.amount_minor - o.refunded_minor)
                filter (where o.status = 'paid' and o.currency = p.currency), 0)::float8,
              'currency', p.currency) as revenue
       from upsell u join offer f on f.id = u.offer_id join product p on p.id = f.product_id
       left join orders o on o.id = u.taken_order_id
      where f.funnel_key = $1 and u.shown_at is not null and ${within('u.shown_at')}
      group by f.id, p.currency order by f.id`,
    [key, period.from, period.to],
  );
}

/** By currency, largest number of orders first. What was refunded was not earned. Served by orders_funnel. */
export async function sumRevenue(db: EntityManager, key: string, period: Period): Promise<Money[]> {
  return db.query(
    `select sum(amount_minor - refunded_minor)::float8 as "amountMinor", currency from orders
      where funnel_key = $1 and status = 'paid' and ${within('paid_at')}
      group by currency order by count(*) desc, currency`,
    [key, period.from, period.to],
  );
}

/**
 * Per step the mails of the period and what became of them, whenever that was: opens of a mail belong to its sending.
 * A mail whose fate is unknown counts as sent once anything was fetched from it, since it evidently arrived. An open
 * counts unless a machine's; a click only when it is a person's, as the branches of a sequence judge it. `openedMachine`
 * are mails that only machines opened.
 * Served by message_funnel and tracking_event_message.
 */
export async function countSteps(db: EntityManager, key: string, period: Period): Promise<StepCounts[]> {
  return db.query(
    `select m.step_key as "stepKey", min(t.key) as template,
            count(*)::int as "sent",
            count(*) filter (where hit.opened)::int as "opened",
            count(*) filter (where hit.machine and not hit.opened)::int as "openedMachine",
            count(*) filter (where hit.clicked)::int as "clicked"
       from message m
       join email_template t on t.id = m.email_template_id
       cross join lateral (
         select coalesce(bool_or(e.kind = 'open' and e.class in ('human', 'unknown')), false) as opened,
                coalesce(bool_or(e.kind = 'open' and e.class in ('proxy', 'scanner')), false) as machine,
                coalesce(bool_or(e.kind = 'click' and e.class = 'human'), false) as clicked,
                count(*) > 0 as seen
           from tracking_event e where e.message_id = m.id) hit
      where m.funnel_key = $1 and m.kind = 'sequence' and m.step_key is not null
        and m.state in ('accepted', 'unknown') and (m.state = 'accepted' or hit.seen)
        and ${within('coalesce(m.accepted_at, m.data_at, m.due_at)')}
      group by m.step_key
      order by min(m.id)`,
    [key, period.from, period.to],
  );
}

/** The steps that send something, in the order of each sequence as it runs now. */
export async function mailSteps(db: EntityManager, key: string): Promise<MailStep[]> {
  return db.query(
    `select node.value ->> 'key' as key, node.value ->> 'kind' as kind, node.value ->> 'templateKey' as template,
            coalesce((select jsonb_agg(jsonb_build_object('split', split.value ->> 'key', 'arm', arm.key) order by split.place)
               from jsonb_array_elements(v.definition -> 'nodes') with ordinality as split (value, place)
               cross join lateral jsonb_each(split.value -> 'split' -> 'terms' -> 'paths') as arm
              where arm.value ? (node.value ->> 'key')), '[]') as path
       from sequence s
       join sequence_version v on v.id = s.current_version_id
       cross join lateral jsonb_array_elements(v.definition -> 'nodes') with ordinality as node (value, place)
      where s.funnel_key = $1 and node.value ->> 'templateKey' is not null
      order by s.id, node.place`,
    [key],
  );
}
