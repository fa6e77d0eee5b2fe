import type { EntityManager } from 'typeorm';
import { WORDS_OF_MAIL } from '../../delivery/message/words-of-mail.js';

/** The planner's figure for a big table, exact for a small one: the page must not count millions to show a badge. */
export async function countSubscribers(db: EntityManager): Promise<number> {
  const rows: { total: number }[] = await db.query(
    `select case when c.reltuples > 100000 then c.reltuples::float8 else (select count(*) from subscriber)::float8 end as total
       from pg_class c where c.oid = 'subscriber'::regclass`,
  );
  return rows[0]?.total ?? 0;
}

/** What a subject says about its reader is left out (…); one that begins with it says nothing, and the name of the step has to do. */
const SUBJECT = `coalesce(m.data ->> 'ownSubject', case when t.subject !~ '^[{]' then
  regexp_replace(regexp_replace(t.subject, '[{]%.*?%[}]', '', 'g'), '[{]{2}.*?[}]{2}', '…', 'g') end)`;

/** The latest hundred mails. Served by message_subscriber. */
export async function messagesOf(
  db: EntityManager,
  subscriberId: string,
): Promise<Record<string, unknown>[]> {
  return db.query(
    `select m.id, m.step_key as step, m.kind,
            ${SUBJECT} as subject,
            m.state as status, m.due_at as "dueAt", m.accepted_at as "sentAt",
            (select min(e.at) from tracking_event e where e.message_id = m.id and e.kind = 'open' and e.class in ('human', 'unknown')) as "openedAt",
            (select min(e.at) from tracking_event e where e.message_id = m.id and e.kind = 'click' and e.class = 'human') as "clickedAt"
       from message m join email_template t on t.id = ${WORDS_OF_MAIL}
      where m.subscriber_id = $1 order by m.id desc limit 100`,
    [subscriberId],
  );
}

/** What a page calls what was (not) sent; null when there is none. Each by a primary or unique key. */
export async function nameOfSent(
  db: EntityManager,
  asked: { message: string } | { broadcast: string } | { funnel: string; step: string },
): Promise<string | null> {
  if ('message' in asked) {
    const [mail]: { subject: string | null; step: string | null; kind: string }[] = await db.query(
      `select m.step_key as step, m.kind, ${SUBJECT} as subject
         from message m join email_template t on t.id = ${WORDS_OF_MAIL} where m.id = $1`,
      [asked.message],
    );
    return mail ? `“${mail.subject ?? mail.step ?? mail.kind}”` : null;
  }
  if ('broadcast' in asked) {
    const [broadcast]: { title: string }[] = await db.query('select title from broadcast where id = $1', [
      asked.broadcast,
    ]);
    return broadcast ? `the broadcast “${broadcast.title}”` : null;
  }
  const [funnel]: { title: string }[] = await db.query('select title from funnel where key = $1', [
    asked.funnel,
  ]);
  return `step “${asked.step}” of “${funnel?.title ?? asked.funnel}”`;
}

/** Served by the unique key of `enrollment`. */
export async function enrollmentsOf(
  db: EntityManager,
  subscriberId: string,
): Promise<Record<string, unknown>[]> {
  return db.query(
    `select s.title, s.funnel_key as "funnelKey", e.status, e.exit_reason as "endReason", e.step_key as "stepKey",
            e.started_at as "startedAt", e.ended_at as "endedAt"
       from enrollment e join sequence s on s.id = e.sequence_id
      where e.subscriber_id = $1 order by e.id desc`,
    [subscriberId],
  );
}

/** Every event as it was recorded: this is the proof of consent. Served by consent_event_subscriber. */
export async function consentsOf(
  db: EntityManager,
  subscriberId: string,
): Promise<Record<string, unknown>[]> {
  return db.query(
    `select coalesce(consent_text, kind) as wording, purpose,
            case when kind <> 'withdrawn' then at end as "givenAt", case when kind = 'withdrawn' then at end as "withdrawnAt",
            concat_ws(', ', kind, coalesce(page_url, form_slug)) as source
       from consent_event where subscriber_id = $1 order by id`,
    [subscriberId],
  );
}

/** Null for somebody who has not left, or not said why. */
export async function reasonOf(
  db: EntityManager,
  subscriberId: string,
): Promise<{ reason: string; comment: string | null; at: Date } | null> {
  const rows: { reason: string; comment: string | null; at: Date }[] = await db.query(
    'select reason, comment, at from leave_reason where subscriber_id = $1',
    [subscriberId],
  );
  return rows[0] ?? null;
}

/** By whose link the person came last; null for nobody. */
export async function affiliateOf(
  db: EntityManager,
  subscriberId: string,
): Promise<{ id: string; code: string; at: Date } | null> {
  const rows: { id: string; code: string; at: Date }[] = await db.query(
    `select a.id, a.code, r.touched_at as at from referral r join affiliate a on a.id = r.affiliate_id where r.subscriber_id = $1`,
    [subscriberId],
  );
  return rows[0] ?? null;
}

/** The steps of the funnels the person is or was in, to ask about each; those of the version they are in. */
export async function stepsOf(
  db: EntityManager,
  subscriberId: string,
): Promise<{ funnelKey: string; steps: string[] }[]> {
  return db.query(
    `select q.funnel_key as "funnelKey",
            array(select n->>'key' from jsonb_array_elements(v.definition->'nodes') with ordinality as nodes (n, place)
                   where n->>'kind' <> 'branch' order by place) as steps
       from enrollment e join sequence q on q.id = e.sequence_id join sequence_version v on v.id = e.version_id
      where e.subscriber_id = $1 order by e.id desc`,
    [subscriberId],
  );
}

/** Slug of the form that leads into the funnel. */
export async function formSlugOf(db: EntityManager, funnelKey: string): Promise<string | null> {
  const rows: { slug: string }[] = await db.query(
    `select slug from form where funnel_key = $1 and archived_at is null order by id limit 1`,
    [funnelKey],
  );
  return rows[0]?.slug ?? null;
}
