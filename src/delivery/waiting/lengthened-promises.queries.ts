import type { EntityManager } from 'typeorm';

/** In SQL, when what mail `m` promises of its offer is over; null where it promises nothing until a time. */
export const PROMISED_UNTIL = `(m.data #>> '{offer,expiresAt}')::timestamptz`;

/**
 * What these held mails promise of an offer for a time of their own (`deadline`) holds as much longer as they have waited, since they
 * were written or a pause before let them go: it counted while its reader did not know of it. Wherever it is written: in
 * the mail's words, as the mail's end, and for the offer's page and the checkout. A step that expires still does (in any zone). A
 * promise is never made shorter. Called with the enrollments locked; locks their offers, then the mails.
 */
export async function lengthenPromises(
  manager: EntityManager,
  messageIds: readonly string[],
  now: Date,
): Promise<void> {
  if (messageIds.length === 0) return;
  await manager.query(
    `with held as materialized (
       select m.id, m.enrollment_id, m.step_key, n.version_id, m.data #>> '{offer,slug}' as slug, ${PROMISED_UNTIL} as before,
         ${PROMISED_UNTIL} + ($2::timestamptz - greatest(m.due_at, m.created_at)) as until
       from message m join enrollment n on n.id = m.enrollment_id
       where m.id = any($1::bigint[]) and m.state = 'held' and ${PROMISED_UNTIL} is not null and greatest(m.due_at, m.created_at) < $2),
     own as materialized (
       select v.id as version_id, s.node ->> 'key' as step_key,
         left(s.node ->> 'expires', 10)::date::timestamp at time zone 'utc' - interval '14 hours' as expires
       from sequence_version v cross join lateral jsonb_array_elements(v.definition -> 'nodes') as s (node)
       where v.id in (select version_id from held)
         and (s.node @? '$.deadline ? (@ != null)' or s.node @? '$.split.arms[*].deadline ? (@ != null)')),
     longer as materialized (select h.*, o.expires from held h join own o using (version_id, step_key)),
     offers as (
       update enrollment_offer o set expires_at = greatest(o.expires_at, l.until)
       from (select enrollment_id, slug, max(until) as until from longer group by 1, 2 order by 1, 2) l
       where o.enrollment_id = l.enrollment_id and o.offer_slug = l.slug and o.expires_at is not null)
     update message m set
       data = jsonb_set(m.data, '{offer,expiresAt}', to_jsonb(to_char(l.until at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))),
       expires_at = case when m.expires_at = l.before then greatest(m.expires_at, least(l.until, l.expires)) else m.expires_at end
     from longer l where m.id = l.id`,
    [messageIds, now],
  );
}
