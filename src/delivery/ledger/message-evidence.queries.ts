import type { EntityManager } from 'typeorm';
import { SENDER_REFUSALS } from '../replies/sender-refusal.js';

/** `outcome` of the entry among the attempts of a mail of which something came back before its end was known. */
const ARRIVAL = 'arrived';
/** Its `stage` when a link was used while the body was under way: by a scanner, if the relay then refused. */
const LINK_IN_BODY = 'link';
const NOT_REFUSED_SINCE = `(a.stage <> '${LINK_IN_BODY}' or not exists (select 1 from message_attempt r where r.message_id = a.message_id and r.reply_code >= 400 and r.finished_at > a.finished_at))`;

/**
 * An opening or a click shows that a mail was taken, be it by a program where it arrived. Not one from before a refusal,
 * nor from before any try that ended in its body: relays look at the pictures and links of what they then refuse. A try
 * is written down a little after its end, with how long it took, so its start is known to some seconds.
 */
const OPENED = (id: string): string => `(select true from tracking_event t where t.message_id = ${id}
  and not exists (select 1 from message_attempt r where r.message_id = t.message_id and r.reply_code >= 400
    and (r.finished_at > t.at or not exists (select 1 from message_attempt u where u.message_id = t.message_id
      and u.stage = 'body' and u.started_at <= t.at + interval '30 seconds'))) limit 1)`;

/**
 * Proof that a mail was taken although its end was unclear: a 250 written down too late, or what came back of it, an answer
 * to it among that, which leaves no other trace. The relay's own refusal of a second try, which is kept among the bounces, proves nothing. Scalar for the same reason as `MOMENT`.
 */
export const EVIDENCE = (id: string): string => `case
  when (select true from message_attempt a where a.message_id = ${id} and a.outcome = 'accepted' limit 1) then 'its 250 came late'
  when (select true from message_attempt a where a.message_id = ${id} and a.outcome = '${ARRIVAL}' and ${NOT_REFUSED_SINCE} limit 1) then 'something came back of it'
  when ${OPENED(id)} then 'it was opened'
  when (select true from left_by_mail l where l.message_id = ${id} limit 1) then 'its reader left by it'
  when (select true from bounce b where b.message_id = ${id} and b.trusted and b.source <> 'smtp_reply' limit 1) then 'a report about it came back' end`;

/** Of a row that is to be sent once more: what has shown meanwhile that the first try arrived. Others pay nothing for it. */
export const ARRIVED = `(case when m.unknown_count > 0 then ${EVIDENCE('m.id')} end)`;

/** A mail of ours that a report is about. */
export interface ReportedMessage {
  id: string;
  subscriberId: string | null;
  address: string;
  addressHash: Buffer;
  broadcastId: string | null;
  state: string;
  queueKey: string;
}

export interface Refusal extends ReportedMessage {
  /** What makes it the same refusal. */
  dedupeKey: string;
  replyCode: number;
  replyText: string;
  reason: string;
}

/** No foreign key holds the person: somebody who was erased is nobody here. */
const REPORTED = `m.id, (select s.id from subscriber s where s.id = m.subscriber_id) as "subscriberId", m.address, m.address_hash as "addressHash",
  m.broadcast_id as "broadcastId", m.state, m.lane_key as "queueKey"`;

/** By primary key; null when the mail is not there any more. */
export async function reportedMessage(db: EntityManager, id: string): Promise<ReportedMessage | null> {
  const rows: ReportedMessage[] = await db.query(`select ${REPORTED} from message m where m.id = $1`, [id]);
  return rows[0] ?? null;
}

/** The mail with one of these Message-IDs, brackets included, if it was taken. Served by `message_header_id`. */
export async function messageByHeader(db: EntityManager, headers: readonly string[]): Promise<string | null> {
  if (headers.length === 0) return null;
  const rows: { id: string }[] = await db.query(
    `select id from message where message_id_header = any($1::text[]) and state in ('accepted', 'unknown') limit 1`,
    [headers],
  );
  return rows[0]?.id ?? null;
}

/** Amazon's replies alone, which end in a name that its reports call the mail by: other relays' mails are in no index. */
const NAMED_BY_REPLY = (reply: string): string => `${reply} like '250 Ok %-000000'`;

/** The mail that Amazon took with this reply. Called for reports that say nothing else; locks nothing. Served by `message_amazon`. */
export async function messageByReply(db: EntityManager, reply: string): Promise<string | null> {
  const rows: { id: string }[] = await db.query(
    `select id from message where reply_text = $1 and ${NAMED_BY_REPLY('reply_text')} and state in ('accepted', 'unknown') limit 1`,
    [reply],
  );
  return rows[0]?.id ?? null;
}

/**
 * Those of the mails, by id, by Message-ID or by the relay's reply, that are known to have been taken, so that hearing of it
 * again changes nothing. Called for each call of a provider's webhook; locks nothing. Served by the primary key,
 * `message_header_id` and `message_amazon`.
 */
export async function knownArrivals(
  db: EntityManager,
  { ids, headers, replies }: Record<'ids' | 'headers' | 'replies', readonly string[]>,
): Promise<Set<string>> {
  if (ids.length === 0 && headers.length === 0 && replies.length === 0) return new Set();
  const rows: { name: string }[] = await db.query(
    `select m.id::text as name from unnest($1::bigint[]) i join message m on m.id = i where m.state = 'accepted'
     union all
     select m.message_id_header from unnest($2::text[]) h join message m on m.message_id_header = h where m.state = 'accepted'
     union all
     select m.reply_text from unnest($3::text[]) r join message m on m.reply_text = r
     where m.state = 'accepted' and ${NAMED_BY_REPLY('m.reply_text')}`,
    [ids, headers, replies],
  );
  return new Set(rows.map(({ name }) => name));
}

/**
 * Whether a person opened the mail or used a link of it, or its relay took it before `before`. Called for reports of a
 * dead address; locks nothing. Served by the primary key and `tracking_event_message`.
 */
export async function hasSurelyArrived(db: EntityManager, id: string, before: Date): Promise<boolean> {
  const rows: unknown[] = await db.query(
    `select 1 from message m where m.id = $1 and (m.accepted_at < $2
       or exists (select 1 from tracking_event t where t.message_id = m.id and t.class = 'human'))`,
    [id, before],
  );
  return rows.length > 0;
}

interface Proof {
  /** For people. */
  evidence: string;
  now: Date;
  /** A link was used, which a relay's scanner does, too, with a mail that the relay then refuses. */
  byLink?: boolean;
}

/** Of a mail that may have been taken, or is being taken at this moment. */
const MAY_BE_TAKEN = `(state in ('accepted', 'unknown') or unknown_count > 0 or (state = 'leased' and data_at is not null))`;

/**
 * A mail whose end was unclear has been taken after all; one that waits or is held to be sent once more is then not. Fenced by the
 * state: what was settled otherwise stays. Of one that is on its way at this moment, perhaps once more, it is written down
 * among its attempts: its barrier and whoever finds its end unclear ask for that. A link proves nothing of a mail that has
 * never been under way, and while its body is, only if the relay does not refuse it then. True when this changed the state.
 */
export async function noteArrival(
  manager: EntityManager,
  { id, evidence, now, byLink = false }: Proof & { id: string },
): Promise<boolean> {
  const [rows]: [unknown[], number] = await manager.query(
    `update message set state = 'accepted', state_reason = 'proved by ' || $2, accepted_at = coalesce(accepted_at, $3),
       settled_at = coalesce(settled_at, clock_timestamp())
     where id = $1 and (state = 'unknown' or state in ('ready', 'held') and unknown_count > 0) returning id`,
    [id, evidence, now],
  );
  if (rows.length === 0)
    // Epochs of tries begin with 1. Its state is not relied on: it may change between the two statements.
    await manager.query(
      `insert into message_attempt as a (message_id, epoch, started_at, finished_at, stage, outcome)
       select id, 0, clock_timestamp(), clock_timestamp(),
         case when $2 and data_at is not null then '${LINK_IN_BODY}' else 'report' end, '${ARRIVAL}' from message
       where id = $1 and state in ('leased', 'unknown', 'ready', 'held') and (not $2 or ${MAY_BE_TAKEN})
       on conflict (message_id, epoch) do update set stage = excluded.stage, finished_at = excluded.finished_at
         where a.stage = '${LINK_IN_BODY}'`,
      [id, byLink],
    );
  return rows.length === 1;
}

/**
 * A link that stands in each of the mails with these keys was used: where one of them alone may have been taken, it was.
 * With two nobody can say by which. By the unique key.
 */
export async function noteArrivalOfOne(
  manager: EntityManager,
  { dedupeKeys, ...proof }: Proof & { dedupeKeys: readonly string[] },
): Promise<void> {
  const rows: { id: string }[] = await manager.query(
    `select id from message where dedupe_key = any($1::text[]) and ${MAY_BE_TAKEN} limit 2`,
    [dedupeKeys],
  );
  const [only, other] = rows;
  if (only !== undefined && other === undefined) await noteArrival(manager, { id: only.id, ...proof });
}

/**
 * Unknown mails that something has since shown to have arrived: a 250 that was written down too late, an opening, a
 * click, an unsubscription, a bounce or a complaint that carries their token. Called by the reaper. Served by `message_unknown`.
 */
export async function acceptProven(manager: EntityManager): Promise<number> {
  const [, count]: [unknown[], number] = await manager.query(
    `update message m set state = 'accepted', state_reason = e.evidence, accepted_at = coalesce(m.accepted_at, m.data_at, m.settled_at, clock_timestamp())
     from (select u.id, ${EVIDENCE('u.id')} as evidence from message u where u.state = 'unknown') e
     where m.id = e.id and e.evidence is not null and m.state = 'unknown'`,
  );
  return count;
}

/**
 * Mails the relay has refused for good in the last week and which `bounce` does not know yet, oldest first; among them
 * those whose first try is unclear and whose second was refused; one that was only put off is no refusal. Then those that
 * are held because of the sender, each time anew: the owner may have sent them once more before the cause was mended.
 * Called by bounces.take-refusals. Served by `message_refused`, `message_held` and the unique key of `bounce`.
 */
export async function uncountedRefusals(db: EntityManager, limit: number): Promise<Refusal[]> {
  const told = (key: string): string => `select ${REPORTED}, m.reply_code as "replyCode",
      coalesce(m.reply_text, '') as "replyText", coalesce(m.state_reason, '') as reason, ${key} as "dedupeKey"
    from message m where not exists (select 1 from bounce b where b.dedupe_key = ${key})`;
  return db.query(
    `(${told(`'refusal:' || m.id`)} and m.state in ('rejected', 'unknown') and m.reply_code >= 500
       and m.settled_at > clock_timestamp() - interval '7 days' order by m.settled_at limit $1)
     union all
     (${told(`'refusal:' || m.id || ':' || m.lease_epoch`)} and m.state = 'held' and m.state_reason = any($2::text[])
       and m.reply_code >= 500 limit $1)`,
    [limit, SENDER_REFUSALS],
  );
}
