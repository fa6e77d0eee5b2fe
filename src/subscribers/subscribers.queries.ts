import type { EntityManager } from 'typeorm';
import { fieldTypeConflict, type FieldDefinition } from './field.js';
import type { Subscriber } from './subscriber.js';

const SUBSCRIBER = `select s.id, s.email, s.email_key as "emailKey", s.name, s.status, s.time_zone as "timeZone", s.locale,
    s.fields, s.paused_until as "pausedUntil", s.tracking_consent as "trackingConsent", s.created_at as "createdAt", s.confirmed_at as "confirmedAt",
    s.updated_at as "updatedAt",
    array(select t.name from subscriber_tag st join tag t on t.id = st.tag_id
           where st.subscriber_id = s.id order by t.name) as tags
  from subscriber s`;

export async function findSubscriber(db: EntityManager, id: string): Promise<Subscriber | null> {
  const rows: Subscriber[] = await db.query(`${SUBSCRIBER} where s.id = $1`, [id]);
  return rows[0] ?? null;
}

/** Served by the unique key of `email_key`. */
export async function findSubscriberByEmailKey(db: EntityManager, key: string): Promise<Subscriber | null> {
  const rows: Subscriber[] = await db.query(`${SUBSCRIBER} where s.email_key = $1`, [key]);
  return rows[0] ?? null;
}

/** Newest first, below `beforeId`; a condition over `s` has its parameters from $3 on. */
export async function listSubscribers(
  db: EntityManager,
  {
    beforeId,
    limit,
    condition = { text: 'true', parameters: [] },
  }: {
    beforeId: string | undefined;
    limit: number;
    condition?: { text: string; parameters: readonly unknown[] };
  },
): Promise<Subscriber[]> {
  return db.query(
    `${SUBSCRIBER} where ($1::bigint is null or s.id < $1) and ${condition.text} order by s.id desc limit $2`,
    [beforeId ?? null, limit, ...condition.parameters],
  );
}

export type LockedSubscriber = Pick<Subscriber, 'id' | 'status' | 'emailKey' | 'fields' | 'timeZone'>;

/**
 * Locks the row until the caller's transaction ends, so that two decisions about one person come one after the other. Rows
 * that point at the person may be written meanwhile: whoever holds the person's enrollments and is about to write such a
 * row would else wait for this transaction, which waits for the enrollments.
 */
export async function lockSubscriber(db: EntityManager, id: string): Promise<LockedSubscriber | null> {
  const rows: LockedSubscriber[] = await db.query(
    `select id, status, email_key as "emailKey", fields, time_zone as "timeZone" from subscriber where id = $1 for no key update`,
    [id],
  );
  return rows[0] ?? null;
}

export async function hasOptedOut(
  db: EntityManager,
  subscriberId: string,
  topicKey: string,
): Promise<boolean> {
  const rows: unknown[] = await db.query(
    'select 1 from topic_opt_out where subscriber_id = $1 and topic_key = $2',
    [subscriberId, topicKey],
  );
  return rows.length === 1;
}

/**
 * Whether there is a yes to mails after the last no. Coming back takes a new one: the old yes ended with the no. Served by
 * consent_event_subscriber.
 */
export async function agreedSinceLeaving(db: EntityManager, subscriberId: string): Promise<boolean> {
  const rows: { agreed: boolean }[] = await db.query(
    `select coalesce(max(id) filter (where kind <> 'withdrawn'), 0) > coalesce(max(id) filter (where kind = 'withdrawn'), 0) as agreed
       from consent_event where subscriber_id = $1 and purpose = 'marketing'`,
    [subscriberId],
  );
  return rows[0]?.agreed ?? false;
}

/** Whether the owner of the address has said yes to mails after that time; anybody may type it into a form. Served by consent_event_subscriber. */
export async function confirmedSince(db: EntityManager, subscriberId: string, at: Date): Promise<boolean> {
  const rows: unknown[] = await db.query(
    `select 1 from consent_event
     where subscriber_id = $1 and purpose = 'marketing' and kind = 'confirmed' and at > $2 limit 1`,
    [subscriberId, at],
  );
  return rows.length === 1;
}

/**
 * Whether they have left after that time, by the time at which they said so: all letters, or those of that topic where one is
 * named. Served by consent_event_subscriber.
 */
export async function leftSince(
  db: EntityManager,
  subscriberId: string,
  at: Date,
  topicKey?: string,
): Promise<boolean> {
  const purposes = ['marketing', ...(topicKey === undefined ? [] : [`topic:${topicKey}`])];
  const rows: unknown[] = await db.query(
    `select 1 from consent_event
     where subscriber_id = $1 and purpose = any($3::text[]) and kind = 'withdrawn' and at > $2 limit 1`,
    [subscriberId, at, purposes],
  );
  return rows.length === 1;
}

/** Newest first; names are unique, so the row's id pages. */
export async function listTags(
  db: EntityManager,
  { beforeId, limit }: { beforeId: string | undefined; limit: number },
): Promise<{ id: string; name: string; subscribers: number; createdAt: Date }[]> {
  return db.query(
    `select t.id, t.name, t.created_at as "createdAt",
            (select count(*) from subscriber_tag st where st.tag_id = t.id)::int as subscribers
       from tag t where ($1::bigint is null or t.id < $1) order by t.id desc limit $2`,
    [beforeId ?? null, limit],
  );
}

/** Every own field by its key, in the order they were defined. */
export async function fieldDefinitions(db: EntityManager): Promise<Map<string, FieldDefinition>> {
  const rows: FieldDefinition[] = await db.query(
    'select key, label, type, choices from subscriber_field order by id',
  );
  return new Map(rows.map((row) => [row.key, row]));
}

/**
 * Defines the fields that are not there. One that is takes the label, and keeps its choices, to which new ones are added: of
 * those that differ by their case alone the first stays. Called when a funnel is applied that brings its fields; locks the
 * fields it names. Throws `FIELD_TYPE_CONFLICT`.
 */
export async function defineFields(
  db: EntityManager,
  fields: readonly FieldDefinition[],
  now: Date,
): Promise<void> {
  for (const { key, label, type, choices } of fields) {
    const [there]: { type: string }[] = await db.query(
      `insert into subscriber_field (key, label, type, choices, created_at) values ($1, $2, $3, $4::jsonb, $5)
       on conflict (key) do update set label = excluded.label, choices = subscriber_field.choices || (
         select coalesce(jsonb_agg(c), '[]') from jsonb_array_elements_text(excluded.choices) c where not exists (
           select from jsonb_array_elements_text(subscriber_field.choices) h where lower(h) = lower(c)))
       returning type`,
      [key, label, type, JSON.stringify(choices), now],
    );
    if (there !== undefined && there.type !== type) throw fieldTypeConflict({ key, type: there.type });
  }
}

/** Of every list. */
export async function listKeys(db: EntityManager): Promise<Set<string>> {
  const rows: { key: string }[] = await db.query('select key from list');
  return new Set(rows.map(({ key }) => key));
}

interface TopicToLeave {
  subscriberId: string;
  topicKey: string;
}

/**
 * The first topic behind `after` that an import says somebody wants no mails about: the caller ends their series of it in the
 * same transaction, unless they want it again (`isWanted`). Others pass over that row meanwhile. By primary key.
 */
export async function takeTopicToLeave(
  db: EntityManager,
  after: TopicToLeave | null,
): Promise<(TopicToLeave & { isWanted: boolean }) | null> {
  const [rows]: [(TopicToLeave & { isWanted: boolean })[], number] = await db.query(
    `delete from topic_to_leave l where (subscriber_id, topic_key) = (
       select subscriber_id, topic_key from topic_to_leave where (subscriber_id, topic_key) > ($1::bigint, $2::text)
        order by 1, 2 limit 1 for update skip locked)
     returning subscriber_id as "subscriberId", topic_key as "topicKey", not exists (
       select from topic_opt_out o where o.subscriber_id = l.subscriber_id and o.topic_key = l.topic_key) as "isWanted"`,
    [after?.subscriberId ?? '0', after?.topicKey ?? ''],
  );
  return rows[0] ?? null;
}

/**
 * The first behind `after` of those whom an import has told not to count any more: the caller forgets what was seen of them in
 * the same transaction. Others pass over that row meanwhile. By primary key.
 */
export async function takeSeenToForget(db: EntityManager, after: string | null): Promise<string | null> {
  const [rows]: [{ id: string }[], number] = await db.query(
    `delete from seen_to_forget where subscriber_id = (
       select subscriber_id from seen_to_forget where subscriber_id > $1::bigint
        order by subscriber_id limit 1 for update skip locked)
     returning subscriber_id as id`,
    [after ?? '0'],
  );
  return rows[0]?.id ?? null;
}

/** The row, and what hangs on it but no foreign key takes along: imports write millions of them. A signal that is being told goes by that. */
export async function removeSubscriber(manager: EntityManager, subscriberId: string): Promise<void> {
  await manager.query(
    `with tags as (delete from subscriber_tag where subscriber_id = $1),
       evidence as (delete from consent_event where subscriber_id = $1),
       fields as (delete from field_signal where id in (
         select id from field_signal where subscriber_id = $1 for update skip locked)),
       tagged as (delete from tag_signal where id in (
         select id from tag_signal where subscriber_id = $1 for update skip locked)),
       listed as (delete from list_signal where id in (
         select id from list_signal where subscriber_id = $1 for update skip locked))
     delete from subscriber where id = $1`,
    [subscriberId],
  );
}
