import { LEFT_OR_PAUSED, OFF_ITS_LIST } from '../guards/left-list.queries.js';

/**
 * How things stand at this moment for each row `m`: its reader, and its broadcast or sequence. Read at the claim to spare the relay,
 * and by the barrier, which decides. Scalar look-ups behind `offset 0`, because PostgreSQL may turn an `exists` into a
 * hash of the whole table: quick for a list of thousands, seconds for every claim on a list of a million.
 */
export const MOMENT = `cross join lateral (select
    coalesce((select case when s.status <> 'active' then 'left' when s.paused_until is not null then 'paused' else 'active' end
      from subscriber s where s.id = m.subscriber_id), 'left') as reader,
    (select true from topic_opt_out t where t.subscriber_id = m.subscriber_id and t.topic_key = m.funnel_key) is true as opted_out,
    (select true from suppression x where x.email_hash = m.address_hash
      and (x.scope = 'all' or m.class = 'marketing') limit 1) is true as suppressed,
    (select case when k.lists is not null and ${OFF_ITS_LIST} then 'left' else k.state end
      from broadcast k where k.id = m.broadcast_id) as broadcast,
    (select true from sequence_pause q where q.funnel_key = m.funnel_key and q.resumed_at is null
      and m.kind = 'sequence' and m.class = 'marketing') is true as paused
  offset 0) moment`;
const mayBeSent = (reader: string): string =>
  `(not moment.suppressed and (m.class = 'transactional' or (moment.reader ${reader} and not moment.opted_out)))`;
export const MAY_BE_SENT = `(${mayBeSent(`= 'active'`)} and moment.broadcast is distinct from 'left')`;
/** Asked of what may not be sent: whether that is only for the reader's pause. */
const MAY_BE_SENT_LATER = mayBeSent(`<> 'left'`);

/**
 * A step of a series waits for the end of its reader's pause. A broadcast is of its moment, and must come to its end: it
 * passes by whoever has a pause when their mail comes up.
 */
export const WAITS_FOR_READER = `(m.broadcast_id is null and ${MAY_BE_SENT_LATER})`;

export const WHY_SUPPRESSED = `case when ${MAY_BE_SENT_LATER} then ${LEFT_OR_PAUSED}
  when moment.suppressed then 'suppression list'
  when moment.opted_out then 'opted out of the topic'
  else 'subscriber is not active' end`;

/** `outcome` of the entry among the attempts of a mail of which something came back before its end was known. */
export const ARRIVAL = 'arrived';
/** Its `stage` when a link was used while the body was under way: by a scanner, if the relay then refused. */
export const LINK_IN_BODY = 'link';
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

/**
 * Of a row that is found by its id. "is true" keeps the planner from `message_lease`, with which it would walk all that is
 * leased once for each of the ids: three quarters of the barrier's time.
 */
export const IS_LEASED = `(m.state = 'leased') is true`;
