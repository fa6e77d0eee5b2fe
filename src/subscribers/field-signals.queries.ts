import type { EntityManager } from 'typeorm';
import type { SubscriberFields } from './subscriber.js';

/** From now on a note is left of everybody for whom one of these fields changes by a form, a confirmation or an import. */
export async function listenForFields(manager: EntityManager, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  await manager.query('insert into listened_field select unnest($1::text[]) on conflict do nothing', [names]);
}

/** A field that is listened for is not what it was. */
export const fieldsDiffer = (before: string, after: string): string =>
  `exists (select 1 from listened_field l where ${before} -> l.name is distinct from ${after} -> l.name)`;

/** A field that is listened for holds something. */
export const fieldsHeld = (fields: string): string =>
  `exists (select 1 from listened_field l where ${fields} ? l.name)`;

/** The subscriber has a tag that is listened for. */
export const tagsHeld = (id: string): string =>
  `exists (select 1 from subscriber_tag h join tag g on g.id = h.tag_id join listened_tag l on l.name = g.name where h.subscriber_id = ${id})`;

/** The subscriber is on a list that is listened for. */
export const listsHeld = (id: string): string =>
  `exists (select 1 from list_member h join list g on g.id = h.list_id join listened_list l on l.name = g.key where h.subscriber_id = ${id})`;

/** The subscriber came by the link of an affiliate, as their order says, or is one. By keys. */
const affiliateHeld = (id: string, emailKey: string): string =>
  `(exists (select 1 from referral h where h.subscriber_id = ${id}) or exists (select 1 from affiliate h where h.email_key = ${emailKey}))`;

/** Of somebody's fields, those that are listened for: no more of a person is noted. */
export const listenedOf = (fields: string): string =>
  `(select coalesce(jsonb_object_agg(l.name, ${fields} -> l.name), '{}') from listened_field l where ${fields} ? l.name)`;

/**
 * The person may be written to from now on: what their fields hold, the tags they have, and by whose link they came before,
 * begin sequences, too.
 */
export async function noteArrival(manager: EntityManager, subscriberId: string, now: Date): Promise<void> {
  await manager.query(
    `insert into field_signal (subscriber_id, before, created_at)
     select s.id, null, $2 from subscriber s
     where s.id = $1 and (${fieldsHeld('s.fields')} or ${tagsHeld('s.id')} or ${listsHeld('s.id')}
       or ${affiliateHeld('s.id', 's.email_key')})`,
    [subscriberId, now],
  );
}

export interface FieldSignal {
  subscriberId: string;
  before: SubscriberFields | null;
  zoneBefore: string | null;
  zoneChangedAt: Date | null;
}

/** The subscriber waits in a sequence, perhaps for a local time. By the unique key of `enrollment`. */
export const isInSequence = (id: string): string =>
  `exists (select 1 from enrollment n where n.subscriber_id = ${id} and n.status = 'active')`;

/** The same, or a mail that is planned waits for an hour of theirs. By `message_subscriber` as well. */
export const waitsByClock = (id: string): string =>
  `(${isInSequence(id)} or exists (
    select 1 from message w where w.subscriber_id = ${id} and w.state in ('ready', 'held') and w.send_hours_id is not null))`;

/**
 * Takes notes, at most `most`; empty when there is none. `before`: what listened fields held before the first change of
 * each person; null for who may only be written to since. `zoneBefore`: their time zone before it changed first, empty where
 * none was known, and when that was; null where it did not change. Gone with the caller's transaction; two workers take disjoint
 * ones. Called by sequences.advance-due.
 */
export async function takeFieldSignals(manager: EntityManager, most: number): Promise<FieldSignal[]> {
  return manager.query(
    `with taken as (
       delete from field_signal where id in (
         select id from field_signal order by id limit $1 for update skip locked)
       returning id, subscriber_id, before, zone_before, created_at)
     select distinct on (subscriber_id, before is null) subscriber_id as "subscriberId", before,
       zone.zone_before as "zoneBefore", zone.created_at as "zoneChangedAt"
     from taken left join lateral (
       select z.zone_before, z.created_at from taken z
       where z.subscriber_id = taken.subscriber_id and z.zone_before is not null order by z.id limit 1) zone on true
     order by subscriber_id, before is null, taken.id`,
    [most],
  );
}

/**
 * Takes out of the notes of one person that their time zone changed, and returns the first of these; null where there is
 * none. A note that is being taken is left to who takes it. Reads all notes, of which there are few at a time.
 */
export async function takeZoneSignal(
  manager: EntityManager,
  subscriberId: string,
): Promise<{ zoneBefore: string; zoneChangedAt: Date } | null> {
  const rows: { zoneBefore: string; zoneChangedAt: Date }[] = await manager.query(
    `with noted as (
       select id, zone_before, created_at from field_signal where subscriber_id = $1 and zone_before is not null
       for update skip locked),
     taken as (update field_signal set zone_before = null where id in (select id from noted))
     select zone_before as "zoneBefore", created_at as "zoneChangedAt" from noted order by id limit 1`,
    [subscriberId],
  );
  return rows[0] ?? null;
}
