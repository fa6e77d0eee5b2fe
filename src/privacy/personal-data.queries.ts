import type { EntityManager } from 'typeorm';
import { WORDS_OF_MAIL } from '../delivery/message/words-of-mail.js';
import { FORMER_KEYS } from '../subscribers/address-changes.queries.js';
import { ERASED } from '../subscribers/erased.js';
import { rowsOf } from '../imports/forget.queries.js';

export interface ConsentRecord {
  kind: string;
  purpose: string;
  wording: string | null;
  wordingSha256: string | null;
  form: string | null;
  page: string | null;
  ip: string | null;
  userAgent: string | null;
  at: Date;
}

/** In the order in which they were made. Served by consent_event_subscriber. */
export async function consentsOf(db: EntityManager, subscriberId: string): Promise<ConsentRecord[]> {
  return db.query(
    `select kind, purpose, consent_text as wording, encode(text_hash, 'hex') as "wordingSha256", form_slug as form,
            page_url as page, host(ip) as ip, user_agent as "userAgent", at
       from consent_event where subscriber_id = $1 order by id`,
    [subscriberId],
  );
}

const THEIR_ORDER = `((o.subscriber_id = $1 and o.status in ('paid', 'refunded'))
  or lower(o.email) = (select lower(email) from subscriber where id = $1) or lower(o.email) in ${FORMER_KEYS})`;

/** One question for each part of the file; `$1` is the subscriber, `$2` the hash of their address. Read only, over everybody's tables. */
const PARTS = {
  signups: `select f.slug as form, g.status, g.created_at as "createdAt", g.confirmed_at as "confirmedAt", g.answers
    from signup g join form f on f.id = g.form_id where g.subscriber_id = $1 order by g.id`,
  addressChanges: `select email_before as "from", email as "to", source as by, asked_at as "askedAt", changed_at as at
    from address_change where subscriber_id = $1 order by id`,
  reasonForLeaving: `select reason, comment, at from leave_reason where subscriber_id = $1`,
  sequences: `select q.title, e.status, e.exit_reason as "exitReason", e.step_key as "atStep", e.next_at as "nextAt",
      e.started_at as "startedAt", e.ended_at as "endedAt", e.data
    from enrollment e join sequence q on q.id = e.sequence_id where e.subscriber_id = $1 order by e.id`,
  lists: `select l.key, l.title, m.created_at as "joinedAt"
    from list_member m join list l on l.id = m.list_id where m.subscriber_id = $1 order by l.key`,
  events: `select name, key, at from subscriber_event where subscriber_id = $1 order by id`,
  toldByWebhook: `select substring(w.url from '^[A-Za-z]+://(?:[^/?#]*@)?([^/?#]+)') as host, q.title as sequence, w.step_key as step, w.state,
      w.created_at as "plannedAt", w.settled_at as "settledAt"
    from webhook_delivery w join enrollment e on e.id = w.enrollment_id join sequence q on q.id = e.sequence_id
    where e.subscriber_id = $1 order by w.id`,
  offers: `select offer_slug as offer, amount_minor as "amountMinor", currency, expires_at as "expiresAt", created_at as "grantedAt"
    from (select offer_slug, amount_minor, currency, expires_at, created_at from enrollment_offer where subscriber_id = $1
      union all select o.offer_slug, o.amount_minor, o.currency, o.expires_at, coalesce(m.accepted_at, m.data_at) from message m
        join broadcast_offer o on o.broadcast_id = m.broadcast_id and o.place::text = m.data ->> 'offerPlace'
        where m.subscriber_id = $1 and m.state in ('accepted', 'unknown')) granted order by created_at, offer_slug`,
  affiliateLinks: `with clicks as (
      select 1 as nth, affiliate_id, touched_at, source from referral where subscriber_id = $1
      union all select 2, r.affiliate_id, r.touched_at, 'sign-up to be confirmed' from signup_referral r
        join signup g on g.id = r.signup_id where g.subscriber_id = $1
      union all select 3, r.affiliate_id, r.touched_at, 'order' from order_referral r
        join orders o on o.id = r.order_id where ${THEIR_ORDER}
      union all select 4, affiliate_id, touched_at, 'earlier click' from referral_touch where subscriber_id = $1
      union all select 4, (c ->> 'affiliateId')::bigint, (c ->> 'at')::timestamptz, 'earlier click' from signup_referral r
        join signup g on g.id = r.signup_id cross join jsonb_array_elements(r.touches) c where g.subscriber_id = $1
      union all select 4, (c ->> 'affiliateId')::bigint, (c ->> 'at')::timestamptz, 'earlier click' from order_referral r
        join orders o on o.id = r.order_id cross join jsonb_array_elements(r.touches) c where ${THEIR_ORDER}),
    once as (select distinct on (affiliate_id, touched_at) * from clicks order by affiliate_id, touched_at, nth)
    select a.code as affiliate, c.touched_at as "clickedAt", c.source as "keptBy"
    from once c join affiliate a on a.id = c.affiliate_id order by c.touched_at desc`,
  imports: `select j.file_name as file, r.line, r.email, r.name, r.status, r.time_zone as "timeZone", r.locale, r.fields, r.tags, r.lists,
      r.created_at as "subscribedAt", r.consent_text as wording, r.consent_at as "consentAt", host(r.consent_ip) as "consentIp",
      r.confirmed_at as "confirmedAt", host(r.confirmed_ip) as "confirmedIp", r.left_at as "leftAt",
      r.tracking_consent as "trackingConsent", r.topics_off as "topicsOff", r.paused_until as "pausedUntil", r.outcome, coalesce(r.problem, r.unread) as problem,
      case when (select count(*) from unnest(r.cells) cell where cell like '%@%') < 2 then r.cells end as cells
    from import_row r left join import_job j on j.id = r.import_id
    where ${rowsOf('r', '(select email_key from subscriber where id = $1)')} order by r.import_id, r.line`,
  isAffiliate: `select a.code, a.name, a.email, a.state, a.created_at as "since",
      (select coalesce(sum(k.clicks), 0)::int from affiliate_click k where k.affiliate_id = a.id) as clicks,
      (select coalesce(jsonb_agg(jsonb_build_object('earnedAt', c.created_at, 'amountMinor', c.amount_minor,
          'currency', c.currency) order by c.id), '[]') from commission c where c.affiliate_id = a.id) as commissions,
      (select coalesce(jsonb_agg(jsonb_build_object('amountMinor', y.amount_minor, 'currency', y.currency, 'paidAt', y.paid_at)
          order by y.id), '[]') from payout y where y.affiliate_id = a.id) as payouts
    from affiliate a where a.email_key = (select email_key from subscriber where id = $1)`,
  splitTests: `select x.funnel_key as funnel, x.step_key as step, a.arm, a.assigned_at as "assignedAt"
    from experiment_assignment a join experiment x on x.id = a.experiment_id where a.subscriber_id = $1
    union all select x.funnel_key, x.step_key, i.arm, i.at from enrollment e join experiment_replacement i on i.enrollment_id = e.id
      join experiment x on x.id = i.experiment_id where e.subscriber_id = $1
    order by 4`,
  mails: `select m.kind, m.class, m.funnel_key as funnel, m.step_key as step, t.key as template, m.state,
      m.state_reason as "stateReason", m.address as "to", m.due_at as "dueAt", m.accepted_at as "acceptedAt",
      m.created_at as "plannedAt"
    from message m join email_template t on t.id = ${WORDS_OF_MAIL} where m.subscriber_id = $1
      or (m.kind = 'api' and m.subscriber_id is null and m.address_hash = any ($2::bytea[]) and m.address <> '${ERASED}') order by m.id`,
  hits: `select e.kind, e.class, e.reason, e.user_agent as "userAgent", l.url_template as link, m.step_key as step, e.at
    from tracking_event e join message m on m.id = e.message_id left join link l on l.id = e.link_id
    where m.subscriber_id = $1 order by e.id`,
  visits: `select page, slug, user_agent as "userAgent", referrer, utm, at from visit where subscriber_id = $1 order by id`,
  conversions: `select kind, funnel_key as funnel, at from conversion where subscriber_id = $1 order by id`,
  returnedMails: `select verdict, reason, diagnostic, received_at as "receivedAt"
    from bounce where subscriber_id = $1 order by id`,
  memberships: `select p.name as product, m.state, m.starts_at as "startsAt", m.ends_at as "endsAt",
      (select jsonb_agg(jsonb_build_object('what', c.kind, 'by', c.cause, 'reason', c.reason, 'endsAt', c.ends_at, 'at', c.at) order by c.id)
         from membership_change c where c.membership_id = m.id) as history
    from membership m join product p on p.id = m.product_id where m.subscriber_id = $1 order by m.id`,
  orders: `select o.number, o.status, o.email, o.name, o.amount_minor::float8 as "amountMinor", o.currency,
      o.created_at as "createdAt", o.paid_at as "paidAt", o.refunded_at as "refundedAt",
      o.refund_reason as "refundReason",
      (select coalesce(jsonb_agg(jsonb_build_object('amountMinor', r.amount_minor, 'currency', r.currency, 'reason', r.reason, 'at', r.at)
         order by r.id), '[]') from refund r where r.order_id = o.id) as refunds,
      (select coalesce(jsonb_agg(jsonb_build_object('product', p.name, 'amountMinor', l.amount_minor, 'currency', o.currency, 'licence', k.key) order by l.id), '[]')
         from order_line l join product p on p.id = l.product_id left join licence k on k.order_line_id = l.id
        where l.order_id = o.id) as lines
    from orders o where ${THEIR_ORDER}
    order by o.id`,
} as const;

export type PersonalParts = Record<keyof typeof PARTS, Record<string, unknown>[]>;

/** Of one moment when the caller's transaction is `repeatable read`. `addressHashes`: of the address they have, and of those before it. */
export async function personalParts(
  db: EntityManager,
  { subscriberId, addressHashes }: { subscriberId: string; addressHashes: readonly Buffer[] },
): Promise<PersonalParts> {
  const parts: Partial<PersonalParts> = {};
  for (const [name, sql] of Object.entries(PARTS) as [keyof typeof PARTS, string][])
    parts[name] = await db.query(sql, sql.includes('$2') ? [subscriberId, addressHashes] : [subscriberId]);
  return parts as PersonalParts;
}
