import type { EntityManager } from 'typeorm';
import { isUniqueViolation } from '../../infra/database/deadlock.js';
import { arrayLiteral } from '../../infra/database/array-literal.js';
import { takenBy } from '../message/recipient-group.js';
import { priorityOf } from '../message/message.js';
import { ADDRESS_HASH_BYTES, type MailTimes, type PreparedBatch } from '../message/mail-batch.js';
import { MESSAGE_ID_BYTES, messageIdEnd } from '../message/message-id.js';
import type { NumberedMail } from '../waiting/send-hours.service.js';

type QueuedMail = NumberedMail & { queueKey: string };

/** A batch as it is written; `places` are those of the mails in `shared`. */
interface WrittenBatch extends Pick<PreparedBatch, 'mails' | 'times'> {
  shared: readonly QueuedMail[];
  places: readonly number[];
  now: Date;
}

/**
 * The groups of those domains that were found by their MX; of one among all others whose receiver has a queue of its own,
 * with `|` and its name behind. Few receivers have, as a rule none. By primary key: for each planned mail, or batch.
 */
export async function groupsByMx(
  manager: EntityManager,
  domains: readonly string[],
): Promise<Map<string, string>> {
  if (domains.length === 0) return new Map();
  const rows: { domain: string; group: string }[] = await manager.query(
    `with own as materialized (
       select distinct split_part(split_part(key, '|', 3), '@', 1) as receiver from send_bucket
       where starts_with(key, 'lane:') and split_part(key, '|', 2) = 'other' and split_part(key, '|', 3) <> '')
     select u.domain, coalesce(d.group_key, 'other') || coalesce('|' || o.receiver, '') as "group"
     from unnest($1::text[]) as u (domain)
       left join lateral (select group_key, mx_host from mail_domain where domain = u.domain offset 0) d on true
       left join lateral (select receiver from own where coalesce(d.group_key, 'other') = 'other'
         and ${takenBy('coalesce(d.mx_host, u.domain)', 'receiver')} limit 1) o on true
     where d.group_key is not null or o.receiver is not null`,
    [arrayLiteral(domains)],
  );
  return new Map(rows.map(({ domain, group }) => [domain, group]));
}

/**
 * Called for each batch of a sequence or a broadcast, in the transaction that moves its pointer or cursor. Adds what is
 * not there yet, by dedupe key and by broadcast and mailbox, and returns how many that were. Columns travel as arrays:
 * reading the rows from JSON cost more than all their index entries. Written in their order, as two steps of a person may
 * be due at one moment, and the earlier one goes first. Who was erased since they were read is left out; who is in a
 * sequence cannot be, as the caller has locked their enrollment, which goes with them.
 * Locking each subscriber instead would double the cost; so it is the erasure that waits for the enrollment or the
 * planning lock that the caller holds (`MessagesQueries.forget`).
 *
 * That a mail is there already is rare, and looking for each before it is written takes a fifth of the time; so it is
 * only looked for where writing the batch has failed. The savepoint ends here: a row that the caller has locked and
 * changes within it would carry both, its lock and its change, as a shared lock that costs more than the change.
 */
export async function insertBatch(manager: EntityManager, batch: WrittenBatch): Promise<number> {
  await manager.query('savepoint planning');
  let added: number;
  try {
    added = await insert(manager, batch, '');
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    await manager.query('rollback to savepoint planning');
    added = await insert(manager, batch, 'on conflict do nothing');
  }
  await manager.query('release savepoint planning');
  return added;
}

/**
 * The look-up of the reader is behind a scalar subquery: PostgreSQL would turn an `exists` into a hash of all of them,
 * once for each batch.
 */
async function insert(
  manager: EntityManager,
  { shared, places, mails, times, now }: WrittenBatch,
  onConflict: string,
): Promise<number> {
  const rows: { count: number }[] = await manager.query(
    `with added as (
       insert into message (dedupe_key, class, kind, subscriber_id, funnel_key, enrollment_id, step_key, broadcast_id,
         email_template_id, data, sender, address, address_hash, message_id_header, due_at, expires_at, planned_for, priority,
         lane_key, created_at, arm, state, state_reason, settled_at, send_hours_id)
       select s."keyBefore" || coalesce(r.enrollment_id, r.subscriber_id) || s."keyAfter", s.class, s.kind, r.subscriber_id,
         s."funnelKey", r.enrollment_id, s."stepKey", s."broadcastId", s."templateId", s.data, s.sender, r.address,
         substring($5::bytea from (r.nth::int - 1) * ${ADDRESS_HASH_BYTES} + 1 for ${ADDRESS_HASH_BYTES}),
         '<' || encode(substring($6::bytea from (r.nth::int - 1) * ${MESSAGE_ID_BYTES} + 1 for ${MESSAGE_ID_BYTES}), 'escape') || s."messageIdEnd",
         coalesce(r.due_at, s."dueAt"), coalesce(r.expires_at, s."expiresAt"), r.planned_for, s.priority,
         s."queueKey", $8, s.arm, case when s."withheldFor" is not null then 'suppressed' when s."heldFor" is null then 'ready' else 'held' end,
         coalesce(s."withheldFor", s."heldFor"), case when s."withheldFor" is not null then clock_timestamp() end, s."sendHoursId"
       from unnest($1::int[], $2::bigint[], $3::bigint[], $4::text[], $9::timestamptz[], $10::timestamptz[], $11::timestamptz[])
         with ordinality as r (shared, subscriber_id, enrollment_id, address, due_at, expires_at, planned_for, nth)
       join jsonb_to_recordset($7::jsonb) as s (place int, "keyBefore" text, "keyAfter" text, "messageIdEnd" text,
         "queueKey" text, class text, kind text, "funnelKey" text, "stepKey" text, "broadcastId" bigint, "templateId" bigint,
         data jsonb, sender jsonb, "dueAt" timestamptz, "expiresAt" timestamptz, priority smallint, arm smallint,
         "heldFor" text, "withheldFor" text, "sendHoursId" int)
         on s.place = r.shared
       where r.enrollment_id is not null or (select true from subscriber p where p.id = r.subscriber_id) order by r.nth
       ${onConflict} returning 1)
     select count(*)::int from added`,
    [
      arrayLiteral(places),
      arrayLiteral(mails.subscriberIds),
      mails.enrollmentIds.every((id) => id === null) ? null : arrayLiteral(mails.enrollmentIds),
      arrayLiteral(mails.addresses),
      mails.addressHashes,
      mails.messageIds,
      JSON.stringify(shared.map(sharedRow)),
      now,
      timesLiteral(times, ({ dueAt }) => dueAt),
      timesLiteral(times, ({ expiresAt }) => expiresAt),
      timesLiteral(times, ({ plannedFor }) => plannedFor),
    ],
  );
  return rows[0]?.count ?? 0;
}

function sharedRow({ dedupeKey, ...mail }: QueuedMail, place: number): object {
  const [keyBefore, keyAfter] = dedupeKey;
  const priority = priorityOf(mail);
  return { ...mail, priority, place, keyBefore, keyAfter, messageIdEnd: messageIdEnd(mail.sender.email) };
}

/** Null for a batch whose mails have no times of their own: PostgreSQL fills it up with nulls, and nothing crosses to it. */
function timesLiteral(times: PreparedBatch['times'], of: (times: MailTimes) => Date | null): string | null {
  if (times === null) return null;
  return arrayLiteral(times.map((one) => (one === null ? null : (of(one)?.toISOString() ?? null))));
}
