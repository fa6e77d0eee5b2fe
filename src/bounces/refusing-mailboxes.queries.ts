import type { EntityManager } from 'typeorm';
import { domainSql } from '../values/email-address.js';

export interface RefusingMailbox {
  addressHash: Buffer;
  subscriberId: string;
}

export interface RefusingLook {
  /** Refusals of before say nothing any more. */
  since: Date;
  /** Only mailboxes that have refused a mail after it: of what was known before, nothing is new. */
  newsSince: Date;
  mails: number;
  days: number;
  /** So many times as many others must have taken a mail as have refused it. */
  share: number;
}

/** What others took at another time says nothing: their server may have begun to refuse everybody since, or have ended it. */
const NEAR = `interval '1 day'`;

/** Nothing came back of the mail `a`. */
const ARRIVED = `not exists (select 1 from bounce x where x.message_id = a.id and x.trusted and x.verdict in ('soft', 'hard', 'sender'))`;

/**
 * Mailboxes that have refused so many mails in a row without a known word, over so many days, each of which other mailboxes
 * of the same domain took within a day of it, with the same words in it. They took it between the first refusal of the mailbox and
 * its last, so that no block of the whole domain lies over all of them. Left out are mails that several there refused for whatever reason of
 * ours, as those are about us, and mailboxes of which one refusal does say why, be it spam or reputation.
 *
 * Called hourly. Locks nothing. By `bounce_received`, `message_subscriber` and `bounce_message`; what others took is counted in
 * one pass over what was accepted since (`message_accepted`), and only where there is a mailbox to ask it for. A running count
 * in the order of time tells it of each refusal, as a broadcast has thousands of both. Who takes the same mail again and again
 * is one taker: counted is only what comes longer after the one before than the time that is asked for. In the order of
 * people, in which they are locked.
 */
export async function refusingMailboxes(
  db: EntityManager,
  { since, newsSince, mails, days, share }: RefusingLook,
): Promise<RefusingMailbox[]> {
  const enough = `count(distinct r.message_id) >= $3 and max(r.received_at) - min(r.received_at) >= $4 * interval '1 day'`;
  return db.query(
    `with told as materialized (
       select b.address_hash, b.message_id, b.reason, b.received_at, m.kind, m.subscriber_id, m.email_template_id as template,
         ${domainSql('m.address')} as domain, coalesce(m.accepted_at, b.received_at) as sent_at,
         bool_and(b.reason = 'unexplained') over (partition by b.address_hash) as is_mute,
         max(b.received_at) over (partition by b.address_hash) as last_at
       from bounce b join message m on m.id = b.message_id
       where b.trusted and b.verdict = 'sender' and b.received_at > $1),
     refused as materialized (
       select r.* from told r join subscriber s on s.id = r.subscriber_id and s.status = 'active'
       where r.is_mute and r.last_at > $2 and r.kind <> 'confirmation' and r.sent_at > coalesce(s.confirmed_at, '-infinity')
         and not exists (select 1 from message a where a.subscriber_id = r.subscriber_id and a.address_hash = r.address_hash
           and a.state = 'accepted' and a.accepted_at > r.sent_at and ${ARRIVED})),
     mailbox as materialized (
       select r.address_hash, min(r.sent_at) as first_at, max(r.sent_at) as final_at from refused r group by 1 having ${enough}),
     refusing as materialized (
       select template, domain, count(distinct address_hash) as refusing from told group by 1, 2),
     asked as materialized (
       select distinct message_id, template, domain, refusing, greatest(first_at, sent_at - ${NEAR}) as earliest,
         least(final_at, sent_at + ${NEAR}) as latest
       from refused join mailbox using (address_hash) join refusing using (template, domain)),
     others as (
       select q.template, q.domain, a.accepted_at as at,
         coalesce(lag(a.accepted_at) over (partition by q.template, q.domain, a.address_hash order by a.accepted_at)
           < a.accepted_at - 2 * ${NEAR}, true)::int as is_new
       from message a join (select distinct template, domain from asked) q
         on q.template = a.email_template_id and q.domain = ${domainSql('a.address')}
       where a.state = 'accepted' and a.accepted_at > $1 and ${ARRIVED}
         and a.address_hash not in (select address_hash from mailbox)),
     walk as (
       select message_id, refusing, sum(mails) over so_far as mails, sum(is_new) over so_far as takers from (
         select template, domain, earliest as at, 1 as place, message_id, refusing, 0 as mails, 0 as is_new from asked
         union all select template, domain, at, 2, null, null, 1, is_new from others
         union all select template, domain, latest, 3, message_id, refusing, 0, 0 from asked) moment
       window so_far as (partition by template, domain order by at, place rows unbounded preceding)),
     taken as materialized (
       select message_id, refusing, max(mails) - min(mails) as mails, max(takers) - min(takers) as takers
       from walk where message_id is not null group by 1, 2)
     select r.address_hash as "addressHash", r.subscriber_id as "subscriberId"
     from refused r join taken using (message_id)
     where taken.mails > 0 and takers >= $5 * (refusing - 1)
     group by 1, 2 having ${enough} order by r.subscriber_id`,
    [since, newsSince, mails, days, share],
  );
}
