import type { EntityManager } from 'typeorm';
import { fieldsDiffer, fieldsHeld, listenedOf } from './field-signals.queries.js';

/** What became of a row of an import. */
export const OUTCOMES = [
  /** Somebody new, with whatever status the table says. */
  'created',
  'updated',
  'unchanged',
  /** The table says no of somebody who was written to here: it counts. */
  'left',
  /** They said no here, or their address is dead: nothing of the row is taken. */
  'keptOut',
  /** The address is on the suppression list; nothing of the row is taken, and nobody is made of it. */
  'suppressed',
  /** They are here already, and the import was told to leave them. */
  'skipped',
] as const;
export type Outcome = (typeof OUTCOMES)[number];

export interface MergeBatch {
  importId: string;
  /** Lines behind `from`, up to `to`. */
  from: number;
  to: number;
  /** What the file says of somebody who is here: fills gaps only, replaces what is there, or is not looked at. */
  existing: 'fill' | 'overwrite' | 'skip';
  now: Date;
}

/**
 * Each row beside the subscriber of its address, with what is to become of it. The same text for the dry run and the
 * real one, so that they cannot count differently. Served by the primary key of `import_row`, the unique key of
 * `email_key` and that of `suppression`.
 */
const JUDGED = `
  select i.line, i.email, i.email_key, i.email_hash, i.status, i.tags, i.lists, i.created_at, i.consent_text, i.consent_at,
    i.consent_ip, i.confirmed_at, i.confirmed_ip, i.left_at, coalesce(i.tracking_consent, true) as tracking_consent,
    i.name as given_name, i.time_zone as given_zone, i.locale as given_locale, i.fields as given_fields, s.id, s.xmin as version,
    case when $4 = 'overwrite' then coalesce(i.name, s.name) else coalesce(s.name, i.name) end as name,
    case when $4 = 'overwrite' then coalesce(i.time_zone, s.time_zone) else coalesce(s.time_zone, i.time_zone) end as time_zone,
    case when $4 = 'overwrite' then coalesce(i.locale, s.locale) else coalesce(s.locale, i.locale) end as locale,
    case when $4 = 'overwrite' then s.fields || i.fields else i.fields || s.fields end as fields,
    coalesce(s.status = 'pending' and i.status = 'active', false) as activates,
    case
      when exists (select 1 from suppression x where x.email_hash = i.email_hash) then 'suppressed'
      when s.id is null then 'created'
      when i.status in ('unsubscribed', 'bounced', 'complained') then
        case when s.status in ('pending', 'active') and not coalesce(s.confirmed_at > i.left_at, false)
          then 'left' else 'unchanged' end
      when s.status in ('unsubscribed', 'bounced', 'complained') then 'keptOut'
      when $4 = 'skip' then 'skipped'
      when (s.status = 'pending' and i.status = 'active')
        or (case when $4 = 'overwrite' then coalesce(i.name, s.name) else coalesce(s.name, i.name) end) is distinct from s.name
        or (case when $4 = 'overwrite' then coalesce(i.time_zone, s.time_zone) else coalesce(s.time_zone, i.time_zone) end)
          is distinct from s.time_zone
        or (case when $4 = 'overwrite' then coalesce(i.locale, s.locale) else coalesce(s.locale, i.locale) end)
          is distinct from s.locale
        or (case when $4 = 'overwrite' then s.fields || i.fields else i.fields || s.fields end) <> s.fields
        or exists (select 1 from unnest(i.tags) n where not exists (select 1 from tag t
             join subscriber_tag st on st.tag_id = t.id and st.subscriber_id = s.id where t.name = n))
        or exists (select 1 from unnest(i.lists) n where not exists (select 1 from list l
             join list_member m on m.list_id = l.id and m.subscriber_id = s.id where l.key = n))
      then 'updated' else 'unchanged' end as outcome
  from import_row i left join subscriber s on s.email_key = i.email_key
  where i.import_id = $1 and i.line > $2 and i.line <= $3 and i.problem is null`;

const COUNTED = `select outcome, count(*)::int as count from r group by outcome`;

function parametersOf({ importId, from, to, existing }: MergeBatch): unknown[] {
  return [importId, from, to, existing];
}

/** What would become of the rows. Changes nothing and takes no lock. */
export async function judgeRows(db: EntityManager, batch: MergeBatch): Promise<Map<Outcome, number>> {
  const rows: { outcome: Outcome; count: number }[] = await db.query(
    `with r as (${JUDGED}) ${COUNTED}`,
    parametersOf(batch),
  );
  return new Map(rows.map(({ outcome, count }) => [outcome, count]));
}

/** $1 the import, $2 now, $3 the words that everybody agreed to, or null. */
const MERGE = `with r as (select * from merge_batch),
     made as (
       insert into subscriber (id, email, email_key, name, status, time_zone, locale, fields, tracking_consent, created_at, confirmed_at, updated_at)
       overriding system value select new_id, email, email_key, given_name, status, given_zone, given_locale, given_fields, tracking_consent,
         coalesce(created_at, consent_at, $2), coalesce(confirmed_at, case when status = 'active' then coalesce(consent_at, $2) end), $2
       from r where outcome = 'created' order by email_key collate "C" returning id),
     changed as (
       update subscriber s set name = r.name, time_zone = r.time_zone, locale = r.locale, fields = r.fields, updated_at = $2,
         status = case when r.activates and s.status = 'pending' then 'active' else s.status end,
         confirmed_at = case when r.activates then coalesce(r.confirmed_at, r.consent_at, $2) else s.confirmed_at end
       from r where r.outcome = 'updated' and s.id = r.id and s.status in ('pending', 'active') returning s.id),
     gone as (
       update subscriber s set status = r.status, updated_at = $2 from r
       where r.outcome = 'left' and s.id = r.id and s.status in ('pending', 'active') returning s.id),
     touched as materialized (
       select made.id as subscriber_id, r.* from made join r on r.new_id = made.id
       union all select changed.id, r.* from changed join r on r.id = changed.id),
     evidence as (
       insert into consent_event (subscriber_id, kind, purpose, consent_text, text_hash, page_url, ip, at)
       select e.subscriber_id, e.kind, 'marketing', e.text, sha256(convert_to(e.text, 'UTF8')), 'import:' || $1::bigint, e.ip, e.at
       from (
         select subscriber_id, 'granted' as kind, coalesce(consent_text, $3) as text, consent_ip as ip,
           coalesce(consent_at, created_at, $2) as at
         from touched where (outcome = 'created' or activates) and (consent_at is not null or coalesce(consent_text, $3) is not null)
         union all select subscriber_id, 'confirmed', coalesce(consent_text, $3), confirmed_ip, confirmed_at
         from touched where (outcome = 'created' or activates) and confirmed_at is not null
         union all select subscriber_id, 'withdrawn', null, null, coalesce(left_at, $2)
         from touched where status = 'unsubscribed'
         union all select gone.id, 'withdrawn', null, null, coalesce(left_at, $2)
         from gone join r on r.id = gone.id where r.status = 'unsubscribed') e),
     barred as (
       insert into suppression (email_hash, scope, reason, source, created_at)
       select email_hash, case status when 'unsubscribed' then 'marketing' else 'all' end,
         case status when 'unsubscribed' then 'unsubscribed' when 'bounced' then 'hard_bounce' else 'complaint' end, 'import', $2
       from r where outcome in ('created', 'left') and status in ('unsubscribed', 'bounced', 'complained')
       on conflict (email_hash, scope) do nothing),
     tagged as (
       insert into subscriber_tag (subscriber_id, tag_id, created_at)
       select t.subscriber_id, g.id, $2 from touched t cross join unnest(t.tags) n join tag g on g.name = n
        where t.outcome = 'created' returning subscriber_id, tag_id),
     tagged_more as (
       insert into subscriber_tag (subscriber_id, tag_id, created_at)
       select t.subscriber_id, g.id, $2 from touched t cross join unnest(t.tags) n join tag g on g.name = n
        where t.outcome = 'updated' on conflict do nothing returning subscriber_id, tag_id),
     told as (
       insert into tag_signal (subscriber_id, name, created_at)
       select d.subscriber_id, g.name, $2 from (select * from tagged union all select * from tagged_more) d join tag g on g.id = d.tag_id join listened_tag using (name)),
     listed as (
       insert into list_member (list_id, subscriber_id, created_at)
       select l.id, t.subscriber_id, $2 from touched t cross join unnest(t.lists) n join list l on l.key = n
       on conflict do nothing),
     noted as (
       update import_row i set outcome = r.outcome from r
       where i.import_id = $1::bigint and i.line = r.line and r.outcome in ('keptOut', 'suppressed', 'left', 'skipped'))
     ${COUNTED}`;

/** Before `MERGE`, as it replaces what the fields held. The first condition alone is looked at where no sequence listens. */
const NOTE_CHANGED = `
  insert into field_signal (subscriber_id, before, created_at)
  select s.id, case when not r.activates then ${listenedOf('s.fields')} end, $1::timestamptz
  from merge_batch r join subscriber s on s.id = r.id
  where (select exists (select 1 from listened_field)) and r.outcome = 'updated' and s.status in ('pending', 'active')
    and case when r.activates then ${fieldsHeld('r.fields')} else ${fieldsDiffer('s.fields', 'r.fields')} end`;

/** Behind `MERGE`, of those whom it made. */
const NOTE_MADE = `
  insert into field_signal (subscriber_id, before, created_at)
  select s.id, null, $1::timestamptz from merge_batch r join subscriber s on s.email_key = r.email_key
  where (select exists (select 1 from listened_field)) and r.outcome = 'created' and r.status = 'active'
    and ${fieldsHeld('r.given_fields')}`;

/** Whether somebody whom the batch changes has changed since. They are locked by their ids: two batches wait in one order. */
const IS_STALE = `with held as (
    select s.xmin as version, r.version as judged from merge_batch r join subscriber s on s.id = r.id
     where r.outcome in ('updated', 'left') order by s.id for no key update of s)
  select (select count(*) from merge_batch where outcome in ('updated', 'left'))
      <> (select count(*) from held where version = judged) as stale`;

/**
 * Who is new gets an id in the order of the file, and is written in the order of addresses: of two imports with the same
 * people one waits for the other, where in the order of two files each would wait for the other.
 *
 * Judges the rows of a batch and locks whom it changes, as all who change a person do before anything else. Who was
 * changed between the look and the lock is looked at again, so that an unsubscribe or a name of that moment stands.
 */
async function judgeAndLock(manager: EntityManager, batch: MergeBatch): Promise<void> {
  for (;;) {
    // A table of its own has statistics; of rows judged within the statement the planner can only guess how many.
    await manager.query(
      `create temp table merge_batch on commit drop as
         select * from (select j.*, case when outcome = 'created' then nextval('subscriber_id_seq') end as new_id
                          from (${JUDGED} order by i.line) j) n order by email_key collate "C"`,
      parametersOf(batch),
    );
    await manager.query('analyze merge_batch (line, outcome, id, new_id)');
    const [{ stale }]: [{ stale: boolean }] = await manager.query(IS_STALE);
    if (!stale) return;
    await manager.query('drop table merge_batch');
  }
}

/**
 * Makes subscribers of the rows, in one statement: people, evidence of consent, tags, lists and suppressions. Nobody who
 * said no comes back by it, and a suppressed address stays one. Locks the subscribers that it changes. Who signs up at
 * this moment keeps what they typed: the statement fails on their address (with `on conflict` a row took 16 µs, without
 * it takes 11), and the caller comes again with a new look at the rows. `outcome` is kept with those that came to nothing.
 */
export async function mergeRows(
  manager: EntityManager,
  { consentText, ...batch }: MergeBatch & { consentText: string | null },
): Promise<Map<Outcome, number>> {
  // Compiling a statement of this size to machine code costs more than it saves on ten thousand rows.
  await manager.query(`select set_config('jit', 'off', true), set_config('work_mem', '64MB', true)`);
  await judgeAndLock(manager, batch);
  await manager.query(NOTE_CHANGED, [batch.now]);
  const rows: { outcome: Outcome; count: number }[] = await manager.query(MERGE, [
    batch.importId,
    batch.now,
    consentText,
  ]);
  await manager.query(NOTE_MADE, [batch.now]);
  return new Map(rows.map(({ outcome, count }) => [outcome, count]));
}

/** Makes the tags that the rows of an import name, so that `mergeRows` finds them. */
export async function createTagsOfImport(manager: EntityManager, importId: string, now: Date): Promise<void> {
  await manager.query(
    `insert into tag (name, created_at) select distinct n, $2::timestamptz
       from (select distinct tags from import_row where import_id = $1 and problem is null) i cross join unnest(i.tags) n
       on conflict (name) do nothing`,
    [importId, now],
  );
}
