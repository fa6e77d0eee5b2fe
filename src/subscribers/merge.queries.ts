import type { EntityManager } from 'typeorm';
import { leavesPause } from './pause.queries.js';
import {
  fieldsDiffer,
  fieldsHeld,
  listsHeld,
  isInSequence,
  listenedOf,
  tagsHeld,
  waitsByClock,
} from './field-signals.queries.js';

/** What became of a row of an import. */
export const OUTCOMES = [
  /** Somebody new, with whatever status the table says. */
  'created',
  'updated',
  'unchanged',
  /** The table says no of somebody who was written to here, or calls dead or a complainant who only gets no newsletters: it counts. */
  'left',
  /** They said no here, or their address is dead: nothing of the row is taken but another no, see `skipped`. */
  'keptOut',
  /** The address is on the suppression list; nothing of the row is taken but a no and that it is dead or complained, and nobody is made of it. */
  'suppressed',
  /** They are here already, and the import was told to leave them. Their no to being counted, and to mails for a while or about something, counts all the same. */
  'skipped',
  /** A cell cannot be read: nothing of the row is taken but a no, also of somebody who is not here. */
  'rejected',
] as const;
type Outcome = (typeof OUTCOMES)[number];

interface MergeBatch {
  importId: string;
  /** Lines behind `from`, up to `to`. */
  from: number;
  to: number;
  /** What the file says of somebody who is here: fills gaps only, replaces what is there, or is not looked at. */
  existing: 'fill' | 'overwrite' | 'skip';
  now: Date;
}

/** Whether somebody has decided about a topic here: it stands. An opt-out of a table counts where nothing else is known. */
function hasDecided(subscriberId: string, topicKey: string): string {
  return `exists (select from consent_event e where e.subscriber_id = ${subscriberId} and e.purpose = 'topic:' || ${topicKey})`;
}

/** Whether the table says more of somebody than is known here. */
const SAYS_NO = `coalesce(i.status in ('unsubscribed', 'bounced', 'complained') and s.status in ('pending', 'active')
  or i.status in ('bounced', 'complained') and s.status in ('unsubscribed', 'bounced')
    and not exists (select from suppression x where x.email_hash = i.email_hash and x.scope = 'all'), false)`;

/**
 * Whether nobody has the address, and somebody who had it before is known by another one: the table would write to them once more, or
 * twice. What it says against mails still counts. Served by address_change_before.
 */
const hadBy = (
  who: string,
): string => `(s.id is null and i.status not in ('unsubscribed', 'bounced', 'complained') and (
  select true from address_change c join subscriber p on p.id = c.subscriber_id where c.key_before = i.email_key and ${who} limit 1) is true)`;
const LEFT_UNDER_ANOTHER = hadBy("p.status in ('unsubscribed', 'complained')");
/** By a mail there: one that the sender has corrected may be somebody else's. */
const MOVED_THEMSELVES = hadBy("c.source = 'page'");

/** Whether they left by the table, and have not come back here since. */
const LEAVES = `(${SAYS_NO} and not coalesce(s.confirmed_at > i.left_at, false))`;

/**
 * Whether the table knows of a pause that lasts longer than the one that is known here, and is none that they have ended or
 * changed here, also where it has that to the second, the minute or the day alone. What is over is none.
 */
const PAUSES = `coalesce(i.paused_until > greatest($5::timestamptz, s.paused_until) and not exists (
  select from unnest(s.pauses_left) k where i.paused_until in (
    k, date_trunc('second', k), date_trunc('minute', k), date_trunc('day', k, 'UTC'))), false)`;

/** Whether the table says that they want no mails about something that they have not decided about here. */
const REFUSES = `(i.topics_off <> '{}' and exists (select from unnest(i.topics_off) k where not ${hasDecided('s.id', 'k')}))`;

/**
 * Each row beside the subscriber of its address, with what is to become of it. The same text for the dry run and the
 * real one, so that they cannot count differently. Served by the primary key of `import_row`, the unique key of
 * `email_key` and that of `suppression`. The look for a subscriber stands behind `offset 0`: as a join it was answered by
 * reading all subscribers for each batch, which with a million of them took 80 of 145 µs a row.
 */
const JUDGED = `
  select i.line, i.email, i.email_key, i.email_hash, i.status, i.tags, i.lists, i.created_at, i.consent_text, i.consent_at,
    i.consent_ip, i.confirmed_at, i.confirmed_ip, i.left_at, i.tracking_consent, i.topics_off, i.paused_until, s.id as here_id, s.xmin as version,
    case when $4 = 'overwrite' then coalesce(i.name, s.name) else coalesce(s.name, i.name) end as name,
    case when $4 = 'overwrite' then coalesce(i.time_zone, s.time_zone) else coalesce(s.time_zone, i.time_zone) end as time_zone,
    case when $4 = 'overwrite' then coalesce(i.locale, s.locale) else coalesce(s.locale, i.locale) end as locale,
    case when s.id is null then i.fields when $4 = 'overwrite' then s.fields || i.fields else i.fields || s.fields end as fields,
    coalesce(s.status = 'pending' and i.status = 'active', false) as activates,
    coalesce(not i.tracking_consent and coalesce(s.tracking_consent, true), false) as declines,
    ${PAUSES} as pauses, ${REFUSES} as refuses,
    case
      when exists (select 1 from suppression x where x.email_hash = i.email_hash) and not ${SAYS_NO} then 'suppressed'
      when ${LEFT_UNDER_ANOTHER} then 'suppressed'
      when i.unread is null and ${MOVED_THEMSELVES} then 'skipped'
      when i.unread is not null and not ${LEAVES} then 'rejected'
      when s.id is null then 'created'
      when i.status in ('unsubscribed', 'bounced', 'complained') then case when ${LEAVES} then 'left' else 'unchanged' end
      when s.status in ('unsubscribed', 'bounced', 'complained') then 'keptOut'
      when $4 = 'skip' then 'skipped'
      when (s.status = 'pending' and i.status = 'active') or (not i.tracking_consent and s.tracking_consent) or ${PAUSES} or ${REFUSES}
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
  from import_row i left join lateral (
      select x.id, x.xmin, x.name, x.time_zone, x.locale, x.fields, x.status, x.confirmed_at, x.tracking_consent, x.paused_until, x.pauses_left
        from subscriber x where x.email_key = i.email_key offset 0) s on true
  where i.import_id = $1 and i.line > $2 and i.line <= $3 and i.problem is null`;

const COUNTED = `select outcome, count(*)::int as count from r group by outcome`;

function countsOf(rows: readonly { outcome: Outcome; count: number }[]): Map<Outcome, number> {
  return new Map(rows.map(({ outcome, count }) => [outcome, count]));
}

function parametersOf({ importId, from, to, existing, now }: MergeBatch): unknown[] {
  return [importId, from, to, existing, now];
}

/** What would become of the rows. Changes nothing and takes no lock. */
export async function judgeRows(db: EntityManager, batch: MergeBatch): Promise<Map<Outcome, number>> {
  return countsOf(await db.query(`with r as (${JUDGED}) ${COUNTED}`, parametersOf(batch)));
}

/** Of `merge_batch`, those whom the file adds to: `id` is theirs, new or not. */
const TOUCHED = `r.outcome in ('created', 'updated')`;

/** $1 now. In the order of addresses, see `judgeAndLock`. */
const MAKE = `
  insert into subscriber (id, email, email_key, name, status, time_zone, locale, fields, tracking_consent, created_at, confirmed_at, updated_at,
    paused_until)
  overriding system value select id, email, email_key, name, status, time_zone, locale, fields, coalesce(tracking_consent, true),
    coalesce(created_at, consent_at, $1), coalesce(confirmed_at, case when status = 'active' then coalesce(consent_at, $1) end), $1,
    case when pauses then paused_until end
  from merge_batch where outcome = 'created' order by email_key collate "C"`;

/** $1 now. */
const CHANGE = `
  update subscriber s set name = r.name, time_zone = r.time_zone, locale = r.locale, fields = r.fields, updated_at = $1,
    status = case when r.activates then 'active' else s.status end,
    confirmed_at = case when r.activates then coalesce(r.confirmed_at, r.consent_at, $1) else s.confirmed_at end
  from merge_batch r where r.outcome = 'updated' and s.id = r.id and s.status in ('pending', 'active')`;

/** $1 now. */
const LET_GO = `
  update subscriber s set status = r.status, updated_at = $1 from merge_batch r
   where r.outcome = 'left' and s.id = r.id`;

/** $1 the import, $2 now, $3 the words that everybody agreed to, or null. */
const EVIDENCE = `
  insert into consent_event (subscriber_id, kind, purpose, consent_text, text_hash, page_url, ip, at)
  select e.id, e.kind, 'marketing', e.text, sha256(convert_to(e.text, 'UTF8')), 'import:' || $1::bigint, e.ip, e.at
  from (
    select id, 'granted' as kind, coalesce(consent_text, $3) as text, consent_ip as ip, coalesce(consent_at, created_at, $2) as at
    from merge_batch where (outcome = 'created' or (outcome = 'updated' and activates))
      and (consent_at is not null or coalesce(consent_text, $3) is not null)
    union all select id, 'confirmed', coalesce(consent_text, $3), confirmed_ip, confirmed_at
    from merge_batch where (outcome = 'created' or (outcome = 'updated' and activates)) and confirmed_at is not null
    union all select id, 'withdrawn', null, null, coalesce(left_at, $2)
    from merge_batch where outcome in ('created', 'left') and status = 'unsubscribed') e`;

/** Of `merge_batch`, those who are here and whom the file changes. A no counts whatever else becomes of the row. */
const CHANGED = `(r.outcome in ('updated', 'left') or (r.here_id is not null and (r.declines or r.pauses or r.refuses)))`;

/** $1 the import, $2 now. Nobody is counted again by it. What was seen of them goes by itself, see `seen_to_forget`. */
const STOP_COUNTING = `with known as (
    update subscriber s set tracking_consent = false, updated_at = $2 from merge_batch r
     where r.declines and ${CHANGED} and s.id = r.id returning s.id),
  told as (
    insert into consent_event (subscriber_id, kind, purpose, page_url, at)
    select id, 'withdrawn', 'tracking', 'import:' || $1::bigint, $2::timestamptz from (
      select id from known union all select id from merge_batch where declines and outcome = 'created') e)
  insert into seen_to_forget (subscriber_id) select id from known on conflict do nothing`;

/** $1 now. What waits for the end of a shorter pause comes up then, and waits for the new end. */
const PAUSE = `
  update subscriber s set paused_until = r.paused_until, updated_at = $1, pauses_left = ${leavesPause('$1')} from merge_batch r
   where r.pauses and ${CHANGED} and s.id = r.id`;

/** $1 the import, $2 now. Running series of the topic end by themselves, see `topic_to_leave`. */
const OPT_OUT = `with refused as (
    insert into topic_opt_out (subscriber_id, topic_key, created_at)
    select r.id, r.key, $2::timestamptz from (
      select id, unnest(topics_off) as key from merge_batch r where refuses and (outcome = 'created' or ${CHANGED})) r
    where not ${hasDecided('r.id', 'r.key')} on conflict do nothing returning subscriber_id, topic_key),
  noted as (
    insert into topic_to_leave (subscriber_id, topic_key)
    select subscriber_id, topic_key from refused where ${isInSequence('subscriber_id')} on conflict do nothing)
  insert into consent_event (subscriber_id, kind, purpose, page_url, at)
  select subscriber_id, 'withdrawn', 'topic:' || topic_key, 'import:' || $1::bigint, $2::timestamptz from refused`;

/** $1 now. */
const BAR = `
  insert into suppression (email_hash, scope, reason, source, created_at)
  select email_hash, case status when 'unsubscribed' then 'marketing' else 'all' end,
    case status when 'unsubscribed' then 'unsubscribed' when 'bounced' then 'hard_bounce' else 'complaint' end, 'import', $1::timestamptz
  from merge_batch where status in ('unsubscribed', 'bounced', 'complained')
    and (outcome in ('created', 'left') or (here_id is null and (outcome = 'rejected' or (outcome = 'suppressed' and status <> 'unsubscribed'))))
  order by email_hash on conflict (email_hash, scope) do nothing`;

/** $1 now. Who is new has no tag yet, and to look for one took as long as to write it. */
const TAG_NEW = `
  insert into subscriber_tag (subscriber_id, tag_id, created_at)
  select r.id, t.id, $1::timestamptz from (select id, unnest(tags) as name from merge_batch where outcome = 'created') r
    join tag t on t.name = r.name`;

/** $1 now. The first condition alone is looked at where no sequence listens. */
const TELL_TAGS_OF_NEW = `
  insert into tag_signal (subscriber_id, name, created_at)
  select r.id, t.name, $1::timestamptz from (select id, unnest(tags) as name from merge_batch
      where (select exists (select 1 from listened_tag)) and outcome = 'created') r
    join tag t on t.name = r.name join listened_tag l on l.name = t.name`;

/** $1 now. */
const TAG_KNOWN = `with tagged as (
    insert into subscriber_tag (subscriber_id, tag_id, created_at)
    select r.id, t.id, $1::timestamptz from (select id, unnest(tags) as name from merge_batch where outcome = 'updated') r
      join tag t on t.name = r.name
    on conflict do nothing returning subscriber_id, tag_id)
  insert into tag_signal (subscriber_id, name, created_at)
  select d.subscriber_id, t.name, $1::timestamptz from tagged d join tag t on t.id = d.tag_id join listened_tag l on l.name = t.name`;

/** $1 now. */
const LIST = `with listed as (
    insert into list_member (list_id, subscriber_id, created_at)
    select l.id, r.id, $1::timestamptz from (select id, unnest(lists) as key from merge_batch r where ${TOUCHED} and lists <> '{}') r
      join list l on l.key = r.key
    on conflict do nothing returning subscriber_id, list_id)
  insert into list_signal (subscriber_id, name, kind, created_at)
  select d.subscriber_id, l.key, 'list', $1::timestamptz from listed d join list l on l.id = d.list_id join listened_list h on h.name = l.key`;

/** $1 the import. */
const NOTE_NOTHING = `
  update import_row i set outcome = r.outcome from merge_batch r
   where i.import_id = $1::bigint and i.line = r.line and r.outcome in ('keptOut', 'suppressed', 'left', 'skipped', 'rejected')`;

/** $1 now. Before `CHANGE`, as it replaces what the fields held. The first condition alone is looked at where no sequence listens. */
const NOTE_CHANGED = `
  insert into field_signal (subscriber_id, before, created_at)
  select s.id, case when not r.activates then ${listenedOf('s.fields')} end, $1::timestamptz
  from merge_batch r join subscriber s on s.id = r.id
  where (select exists (select 1 from listened_field) or exists (select 1 from listened_tag) or exists (select 1 from listened_list)) and r.outcome = 'updated' and s.status in ('pending', 'active')
    and case when r.activates then ${fieldsHeld('r.fields')} or ${tagsHeld('s.id')} or ${listsHeld('s.id')} else ${fieldsDiffer('s.fields', 'r.fields')} end`;

/** $1 now. Before `CHANGE`, too. Of who gets another time zone, and waits for an hour by the one of before. */
const NOTE_ZONES = `
  insert into field_signal (subscriber_id, before, zone_before, created_at)
  select s.id, ${listenedOf('s.fields')}, coalesce(s.time_zone, ''), $1::timestamptz
  from merge_batch r join subscriber s on s.id = r.id
  where (select exists (select 1 from enrollment where status = 'active') or exists (select 1 from send_hours)) and r.outcome = 'updated' and not r.activates
    and s.status = 'active' and r.time_zone is distinct from s.time_zone and ${waitsByClock('s.id')}`;

/** $1 now. */
const NOTE_MADE = `
  insert into field_signal (subscriber_id, before, created_at)
  select r.id, null, $1::timestamptz from merge_batch r
  where (select exists (select 1 from listened_field)) and r.outcome = 'created' and r.status = 'active'
    and ${fieldsHeld('r.fields')}`;

/** Whether somebody whom the batch changes has changed since. They are locked by their ids: two batches wait in one order. */
const IS_STALE = `with held as (
    select s.xmin as version, r.version as judged from merge_batch r join subscriber s on s.id = r.id
     where ${CHANGED} order by s.id for no key update of s)
  select (select count(*) from merge_batch r where ${CHANGED})
      <> (select count(*) from held where version = judged) as stale`;

/**
 * Each row of the batch finds its row by the other table's key. For ten thousand rows the planner would rather read a
 * table of a million from its beginning to its end: to lock and to update somebody took 60 and 100 µs so.
 */
async function byIndex<T>(manager: EntityManager, work: () => Promise<T>): Promise<T> {
  const otherJoins = async (state: 'on' | 'off'): Promise<void> => {
    await manager.query(
      `select set_config('enable_hashjoin', $1, true), set_config('enable_mergejoin', $1, true)`,
      [state],
    );
  };
  await otherJoins('off');
  const result = await work();
  await otherJoins('on');
  return result;
}

/** What a batch has. `saysNo`: somebody left, bounced or complained; `declines`: is not to be counted; `pauses`: wants no mails
 * for a while; `refuses`: wants none about something; `hasLists`: joins a list. */
interface Judged {
  became: Map<Outcome, number>;
  saysNo: boolean;
  declines: boolean;
  pauses: boolean;
  refuses: boolean;
  hasLists: boolean;
}

/**
 * Who is new gets an id in the order of the file, and is written in the order of addresses: of two imports with the same
 * people one waits for the other, where in the order of two files each would wait for the other.
 *
 * Judges the rows of a batch and locks whom it changes, as all who change a person do before anything else. Who was
 * changed between the look and the lock is looked at again, so that an unsubscribe or a name of that moment stands.
 */
async function judgeAndLock(manager: EntityManager, batch: MergeBatch): Promise<Judged> {
  for (;;) {
    // A table of its own has statistics; of rows judged within the statement the planner can only guess how many.
    await manager.query(
      `create temp table merge_batch on commit drop as
         select j.*, case when outcome = 'created' then nextval('subscriber_id_seq') else here_id end as id
           from (${JUDGED} order by i.line) j`,
      parametersOf(batch),
    );
    await manager.query('analyze merge_batch (line, outcome, id)');
    const rows: (Omit<Judged, 'became'> & { outcome: Outcome; count: number })[] = await manager.query(
      `select outcome, count(*)::int as count, bool_or(lists <> '{}') as "hasLists", bool_or(declines) as declines, bool_or(pauses) as pauses, bool_or(refuses) as refuses,
           bool_or(status in ('unsubscribed', 'bounced', 'complained')) as "saysNo" from merge_batch group by outcome`,
    );
    const judged = {
      became: countsOf(rows),
      saysNo: rows.some((row) => row.saysNo),
      declines: rows.some((row) => row.declines),
      pauses: rows.some((row) => row.pauses),
      refuses: rows.some((row) => row.refuses),
      hasLists: rows.some((row) => row.hasLists),
    };
    const saysNoToSome = judged.declines || judged.pauses || judged.refuses;
    if (!saysNoToSome && !judged.became.has('updated') && !judged.became.has('left')) return judged;
    const [{ stale }] = await byIndex(manager, async (): Promise<[{ stale: boolean }]> =>
      manager.query(IS_STALE),
    );
    if (!stale) return judged;
    await manager.query('drop table merge_batch');
  }
}

/**
 * Makes subscribers of the rows: people, evidence of consent, tags, lists and suppressions. Nobody who said no comes back
 * by it, and a suppressed address stays one. Locks the subscribers that it changes. Who signs up at this moment keeps
 * what they typed: the unique key of their address fails the transaction (with `on conflict` a row took 16 µs, without it
 * takes 11), and the caller comes again with a new look at the rows. `outcome` is kept with those that came to nothing.
 *
 * A statement for each table, and none for what the batch has nothing of: no row is kept for another part of a statement.
 */
export async function mergeRows(
  manager: EntityManager,
  { consentText, ...batch }: MergeBatch & { consentText: string | null },
): Promise<Map<Outcome, number>> {
  // Compiling statements of ten thousand rows to machine code costs more than it saves. No batch is waited for until it
  // is on the disk: what a crash takes away is the end of the log, so the note that the batch is done goes with it, and
  // whatever was built on its people, such as a mail that went out, waited for all of the log before it.
  await manager.query(
    `select set_config('jit', 'off', true), set_config('work_mem', '64MB', true), set_config('synchronous_commit', 'off', true)`,
  );
  const { became, saysNo, declines, pauses, refuses, hasLists } = await judgeAndLock(manager, batch);
  const now = [batch.now];
  const has = (...outcomes: readonly Outcome[]): boolean => outcomes.some((outcome) => became.has(outcome));
  if (has('created')) await manager.query(MAKE, now);
  if (has('updated'))
    await byIndex(manager, async () => {
      await manager.query(NOTE_CHANGED, now);
      await manager.query(NOTE_ZONES, now);
      await manager.query(CHANGE, now);
    });
  if (has('left')) await byIndex(manager, async () => manager.query(LET_GO, now));
  if (has('created', 'updated', 'left'))
    await manager.query(EVIDENCE, [batch.importId, batch.now, consentText]);
  if (declines) await byIndex(manager, async () => manager.query(STOP_COUNTING, [batch.importId, batch.now]));
  if (pauses) await byIndex(manager, async () => manager.query(PAUSE, now));
  if (refuses) await manager.query(OPT_OUT, [batch.importId, batch.now]);
  if (saysNo && has('created', 'left', 'suppressed', 'rejected')) await manager.query(BAR, now);
  if (has('created')) {
    await manager.query(TAG_NEW, now);
    await manager.query(TELL_TAGS_OF_NEW, now);
    await manager.query(NOTE_MADE, now);
  }
  if (has('updated')) await manager.query(TAG_KNOWN, now);
  if (hasLists && has('created', 'updated')) await manager.query(LIST, now);
  if (has('keptOut', 'suppressed', 'left', 'skipped', 'rejected'))
    await byIndex(manager, async () => manager.query(NOTE_NOTHING, [batch.importId]));
  return became;
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
