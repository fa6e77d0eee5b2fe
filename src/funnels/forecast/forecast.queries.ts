import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { ANEW } from '../../delivery/ledger/counted-anew.queries.js';
import type { SequenceDefinition } from '../../sequences/steps/definition.js';
import type { PathShares } from './choices.js';
import { EXIT } from '../../sequences/steps/exit-reasons.js';
import { boughtForGoodSql } from '../../sequences/offers/owners.queries.js';

interface StandRow {
  versionId: string;
  stepKey: string;
  nextAt: Date;
  waitUntil: Date | null;
  timeZone: string | null;
  /** Steps that were had in an earlier version, and what came of those that were asked for, as JSON. */
  had: string | null;
  done: string | null;
  /** As JSON, of the products asked for those that are owned, each with the day on which that ends; null: none. */
  owns: string | null;
  count: number;
}

/** What is asked of those who stand in versions, beside where they stand. */
interface StandQuestion {
  /** Of which versions what came of which earlier steps is asked for. */
  steps: { versionIds: readonly string[]; steps: readonly string[] };
  /** Which products it matters to own in which version. */
  products: { versionIds: readonly string[]; products: readonly string[] };
  now: Date;
  /** What is owned until then is owned for good. */
  until: Date;
}

export interface VersionRow {
  id: string;
  sequence: string;
  isCurrent: boolean;
  definition: SequenceDefinition;
}

export interface MailCount {
  sequence: string;
  step: string;
  sent: number;
  left: number;
  bought: number;
  boughtWithBump: number;
}

export interface OfferRow {
  slug: string;
  productKey: string;
  amountMinor: number;
  currency: string;
  discountBps: number;
  personalDeadline: boolean;
  bumpKey: string | null;
  bumpAmountMinor: number | null;
  /** Slugs of the offers that follow a purchase. */
  upsell: string | null;
  downsell: string | null;
}

/** What buyers said to an offer that was shown after their order. */
interface UpsellCount {
  offer: string;
  shown: number;
  taken: number;
  declined: number;
}

export interface SignUpRow {
  sequence: string;
  versionId: string;
  /** When the sequence was made. */
  since: Date;
  /** From 1970, in UTC; null where nobody came. */
  day: number | null;
  count: number;
}

/** What a forecast is made from; each is one look at a table, a few seconds for millions of rows. */
@Injectable()
export class ForecastQueries {
  constructor(private readonly dataSource: DataSource) {}

  /**
   * Everybody in a sequence who may be written to, to the hour, whoever pauses from the end of their pause on. Earlier steps
   * cost for each person of a version that asks for them one look by `enrollment_step`'s primary key and one by
   * `message_dedupe_key`; who owns what is read as `ownsSql` has it, by product (`subscriber_tag_tag`, `membership_product`; for each
   * member one look by `orders_subscriber`).
   * Served by `enrollment_due`.
   */
  async stands({ steps, products, now, until }: StandQuestion): Promise<StandRow[]> {
    return this.dataSource.query(
      `with asked as (
         select a.version_id, p.id as product_id, p.key as product
         from unnest($3::bigint[], $4::text[]) as a (version_id, product) join product p on p.key = a.product),
       sold as (select distinct product_id, product from asked),
       owned as (
         select m.subscriber_id, s.product,
           case when m.ends_at < $6 and not g.is_for_good then date_trunc('day', m.ends_at, 'UTC') end as ends_at
         from sold s join membership m on m.product_id = s.product_id
           cross join lateral (select ${boughtForGoodSql('m.subscriber_id', 'm.product_id')} as is_for_good) g
         where m.state = 'active' and (m.ends_at is null or m.ends_at > $5) or g.is_for_good
         union all
         select b.subscriber_id, s.product, null from sold s join tag t on t.name = 'bought:' || s.product
           join subscriber_tag b on b.tag_id = t.id
         where not exists (select 1 from membership m where m.subscriber_id = b.subscriber_id and m.product_id = s.product_id)),
       owner as materialized (
         select e.id, jsonb_object_agg(o.product, o.ends_at)::text as owns
         from owned o join asked a on a.product = o.product
           join enrollment e on e.subscriber_id = o.subscriber_id and e.version_id = a.version_id and e.status = 'active'
         group by e.id)
       select e.version_id as "versionId", e.step_key as "stepKey", s.time_zone as "timeZone", count(*)::int as count,
         min(t.due_at) as "nextAt", min(nullif(e.wait_until, ${ANEW})) as "waitUntil", e.had::text as had, w.done, owner.owns
       from enrollment e join subscriber s on s.id = e.subscriber_id
         cross join lateral (select greatest(coalesce(e.next_at, $5), s.paused_until) as due_at) t
         left join lateral (
           select jsonb_object_agg(o.step_key, o.outcome)::text as done from (
             select o.step_key, o.outcome from enrollment_step o
              where e.version_id = any ($1::bigint[]) and o.enrollment_id = e.id and o.step_key = any ($2)
             union all
             select a.step, case when m.state in ('cancelled', 'expired', 'suppressed') then 'expired before it left' else 'ran' end
             from unnest($2::text[]) as a (step) join message m on m.dedupe_key = 'seq:' || e.id || ':' || a.step
             where e.version_id = any ($1::bigint[])) o
           offset 0) w on true
         left join owner on owner.id = e.id
       where e.status = 'active' and s.status = 'active' and e.step_key is not null
       group by e.version_id, e.step_key, s.time_zone, date_trunc('hour', t.due_at), date_trunc('hour', e.wait_until), e.had, w.done,
         owner.owns`,
      [steps.versionIds, steps.steps, products.versionIds, products.products, now, until],
    );
  }

  /** The versions people are in, and the current one of every sequence. */
  async versions(): Promise<VersionRow[]> {
    return this.dataSource.query(
      `select v.id, q.key as sequence, v.definition, v.id = q.current_version_id as "isCurrent"
       from sequence_version v join sequence q on q.id = v.sequence_id
       where v.id = q.current_version_id or v.id in (select version_id from enrollment where status = 'active')
       order by q.id, v.id`,
    );
  }

  async offers(): Promise<OfferRow[]> {
    return this.dataSource.query(
      `select o.slug, p.key as "productKey", p.amount_minor::float8 as "amountMinor", p.currency, o.discount_bps as "discountBps",
         o.personal_deadline as "personalDeadline", b.key as "bumpKey", b.amount_minor::float8 as "bumpAmountMinor",
         o.upsell_slug as upsell, o.downsell_slug as downsell
       from offer o join product p on p.id = o.product_id left join product b on b.id = o.bump_product_id
       where o.archived_at is null`,
    );
  }

  /**
   * What came of the mails of each step that were sent from `since` to `until`: whether the person left the sequence, other
   * than by buying, moving on or as it was archived, or ordered the step's offer, before the next mail of that sequence. Served by
   * `message_funnel` and the unique key of `enrollment`.
   */
  async mails(since: Date, until: Date): Promise<MailCount[]> {
    return this.dataSource.query(
      `with mail as (
         select q.key as sequence, m.step_key as step, m.subscriber_id, m.funnel_key, m.accepted_at as at, e.ended_at,
           e.status = 'exited' and e.exit_reason not like 'purchased %' and e.exit_reason not like 'moved to %'
             and e.exit_reason <> $3 as gone,
           m.data -> 'offer' ->> 'slug' as offer,
           lead(m.accepted_at) over (partition by m.enrollment_id order by m.accepted_at, m.id) as next_at
         from message m join enrollment e on e.id = m.enrollment_id join sequence q on q.id = e.sequence_id
         where m.kind = 'sequence' and m.state = 'accepted' and m.accepted_at >= $1 and m.accepted_at < $2)
       select mail.sequence, mail.step, count(*)::int as sent,
         count(*) filter (where gone and next_at is null and bought.bump is null)::int as left,
         count(*) filter (where bought.bump = false)::int as bought,
         count(*) filter (where bought.bump)::int as "boughtWithBump"
       from mail left join lateral (
         select exists (select 1 from order_line l where l.order_id = o.id and l.kind = 'bump') as bump
         from orders o join offer f on f.id = o.offer_id
         where mail.offer is not null and o.parent_order_id is null and o.subscriber_id = mail.subscriber_id and f.slug = mail.offer
           and o.status in ('paid', 'refunded') and o.paid_at >= mail.at and (mail.next_at is null or o.paid_at < mail.next_at)
         order by o.id limit 1) bought on true
       group by 1, 2`,
      [since, until, EXIT.archived()],
    );
  }

  /**
   * What came of the offers after an order that were made from `since` to `until`. One that the buyer came to own
   * meanwhile, or that was taken off sale, was no question to them; one that was taken and not paid brought nothing.
   */
  async upsells(since: Date, until: Date): Promise<UpsellCount[]> {
    return this.dataSource.query(
      `select f.slug as offer, count(*)::int as shown,
         count(*) filter (where u.answer = 'taken' and t.status in ('paid', 'refunded'))::int as taken,
         count(*) filter (where u.answer = 'declined')::int as declined
       from upsell u join offer f on f.id = u.offer_id left join orders t on t.id = u.taken_order_id
       where u.created_at >= $1 and u.created_at < $2 and u.answer is distinct from 'withdrawn' group by f.slug`,
      [since, until],
    );
  }

  /**
   * Mails that are written and wait for their time, by day from 1970 in UTC, what is late on `today`: of broadcasts, and
   * what steps have sent, but for sequences that are paused. Served by `message_ready`.
   */
  async waiting(today: number): Promise<{ day: number; count: number }[]> {
    return this.dataSource.query(
      `select greatest(floor(extract(epoch from due_at) / 86400)::int, $1) as day, count(*)::int as count
       from message m where state = 'ready' and class = 'marketing' and not (kind = 'sequence' and m.funnel_key in (
         select p.funnel_key from sequence_pause p where p.resumed_at is null)) group by 1 order by 1`,
      [today],
    );
  }

  /** By which shares the splits into paths draw people now; the sequence has the key of its funnel. */
  async pathShares(): Promise<PathShares[]> {
    return this.dataSource.query(
      `select distinct on (x.funnel_key, x.step_key) x.funnel_key as sequence, x.step_key as step, x.terms -> 'arms' as arms,
         (x.terms ->> 'holdoutBps')::int as "holdoutBps", x.verdict ->> 'arm' as decided,
         (select p.shares from experiment_period p where p.experiment_id = x.id order by p.period desc limit 1) as shares
       from experiment x where x.terms ? 'paths' order by x.funnel_key, x.step_key, x.id desc`,
    );
  }

  /** Confirmed sign-ups by the forms that are on the site, by day; reads all sign-ups. */
  async signUps(since: Date): Promise<SignUpRow[]> {
    return this.dataSource.query(
      `select q.key as sequence, q.current_version_id as "versionId", q.created_at as since,
         floor(extract(epoch from s.confirmed_at) / 86400)::int as day, count(s.id)::int as count
       from form f join sequence q on q.key = f.sequence_key
       left join signup s on s.form_id = f.id and s.status = 'confirmed' and s.confirmed_at >= $1
       where f.archived_at is null and q.current_version_id is not null
       group by 1, 2, 3, 4 order by 1`,
      [since],
    );
  }

  /** Which way people went at each step that asks something. */
  async ways(since: Date): Promise<{ sequence: string; step: string; outcome: string; count: number }[]> {
    return this.dataSource.query(
      `select q.key as sequence, s.step_key as step, s.outcome, count(*)::int as count
       from enrollment_step s join enrollment e on e.id = s.enrollment_id join sequence q on q.id = e.sequence_id
       where s.at >= $1 group by 1, 2, 3`,
      [since],
    );
  }
}
