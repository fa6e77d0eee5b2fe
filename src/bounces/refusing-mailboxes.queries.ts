import type { EntityManager } from 'typeorm';
import { domainSql } from '../values/email-address.js';
import { DAY_MS } from '../values/time-units.js';

interface RefusingMailbox {
  addressHash: Buffer;
  subscriberId: string;
}

interface RefusingLook {
  /** Refusals of before say nothing any more. */
  since: Date;
  /** Only mailboxes that have refused a mail after it: of what was known before, nothing is new. */
  newsSince: Date;
  mails: number;
  days: number;
  /** So many times as many others must have taken a mail as have refused it. */
  share: number;
}

/** A mail that such a mailbox has refused, and when others must have taken it. */
interface Refusal extends RefusingMailbox {
  messageId: string;
  receivedAt: Date;
  template: string;
  domain: string;
  /** How many there have refused it. */
  refusing: number;
  earliest: Date;
  latest: Date;
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
 * Called hourly. Locks nothing. In the order of people, in which they are locked.
 */
export async function refusingMailboxes(db: EntityManager, look: RefusingLook): Promise<RefusingMailbox[]> {
  const refusals = await refusalsOfMailboxes(db, look);
  if (refusals.length === 0) return [];
  const taken = await takenByOthers(db, refusals);
  const counting = new Map<string, Refusal[]>();
  for (const refusal of refusals) {
    const { mails, takers } = taken.get(refusal.messageId) ?? { mails: 0, takers: 0 };
    if (mails === 0 || takers < look.share * (refusal.refusing - 1)) continue;
    const key = `${refusal.subscriberId}:${refusal.addressHash.toString('hex')}`;
    counting.set(key, [...(counting.get(key) ?? []), refusal]);
  }
  return [...counting.values()]
    .filter((ofOne) => isEnough(ofOne, look))
    .flatMap(([one]) => (one ? [{ addressHash: one.addressHash, subscriberId: one.subscriberId }] : []));
}

function isEnough(refusals: readonly Refusal[], { mails, days }: RefusingLook): boolean {
  const times = refusals.map(({ receivedAt }) => receivedAt.getTime());
  const ofMails = new Set(refusals.map(({ messageId }) => messageId)).size;
  return ofMails >= mails && Math.max(...times) - Math.min(...times) >= days * DAY_MS;
}

/** By `bounce_received`, `message_subscriber` and `bounce_message`. In the order of people. */
async function refusalsOfMailboxes(
  db: EntityManager,
  { since, newsSince, mails, days }: RefusingLook,
): Promise<Refusal[]> {
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
       select r.address_hash, min(r.sent_at) as first_at, max(r.sent_at) as final_at from refused r group by 1
       having count(distinct r.message_id) >= $3 and max(r.received_at) - min(r.received_at) >= $4 * interval '1 day'),
     refusing as materialized (
       select template, domain, count(distinct address_hash)::int as refusing from told group by 1, 2)
     select r.address_hash as "addressHash", r.subscriber_id as "subscriberId", r.message_id as "messageId",
       r.received_at as "receivedAt", r.template, r.domain, f.refusing,
       greatest(k.first_at, r.sent_at - ${NEAR}) as earliest, least(k.final_at, r.sent_at + ${NEAR}) as latest
     from refused r join mailbox k using (address_hash) join refusing f using (template, domain) order by r.subscriber_id`,
    [since, newsSince, mails, days],
  );
}

/**
 * What others took of each of these mails: how many of it, and how many of them took it. Only the days around the refusals are
 * read, by `message_accepted`: of 90 days of mails all others cost seconds for each million, every hour. A running count in the
 * order of time tells it of each refusal, as a broadcast has thousands of both. Who takes the same mail again and again
 * is one taker: counted is only what comes longer after the one before than the time that is asked for.
 */
async function takenByOthers(
  db: EntityManager,
  refusals: readonly Refusal[],
): Promise<Map<string, { mails: number; takers: number }>> {
  const days = joined(
    refusals.map(({ earliest, latest }) => ({
      from: earliest.getTime() - 2 * DAY_MS,
      to: latest.getTime() + 1,
    })),
  );
  const within = days.map((_, n) => `a.accepted_at between $${2 * n + 7} and $${2 * n + 8}`).join(' or ');
  const rows: { messageId: string; mails: number; takers: number }[] = await db.query(
    `with asked as materialized (
       select distinct * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::timestamptz[], $5::timestamptz[])
         as q (message_id, template, domain, earliest, latest)),
     others as (
       select q.template, q.domain, a.accepted_at as at,
         coalesce(lag(a.accepted_at) over (partition by q.template, q.domain, a.address_hash order by a.accepted_at)
           < a.accepted_at - 2 * ${NEAR}, true)::int as is_new
       from message a join (select distinct template, domain from unnest($2::bigint[], $3::text[]) as q (template, domain)) q
         on q.template = a.email_template_id and q.domain = ${domainSql('a.address')}
       where a.state = 'accepted' and (${within}) and a.email_template_id = any ($2::bigint[]) and ${ARRIVED}
         and a.address_hash <> all ($6::bytea[])),
     walk as (
       select message_id, sum(mails) over so_far as mails, sum(is_new) over so_far as takers from (
         select template, domain, earliest as at, 1 as place, message_id, 0 as mails, 0 as is_new from asked
         union all select template, domain, at, 2, null, 1, is_new from others
         union all select template, domain, latest, 3, message_id, 0, 0 from asked) moment
       window so_far as (partition by template, domain order by at, place rows unbounded preceding))
     select message_id as "messageId", (max(mails) - min(mails))::int as mails, (max(takers) - min(takers))::int as takers
     from walk where message_id is not null group by 1`,
    [
      refusals.map(({ messageId }) => messageId),
      refusals.map(({ template }) => template),
      refusals.map(({ domain }) => domain),
      refusals.map(({ earliest }) => earliest),
      refusals.map(({ latest }) => latest),
      [...new Set(refusals.map(({ addressHash }) => addressHash.toString('hex')))].map((hex) =>
        Buffer.from(hex, 'hex'),
      ),
      ...days.flatMap(({ from, to }) => [new Date(from), new Date(to)]),
    ],
  );
  return new Map(rows.map(({ messageId, ...taken }) => [messageId, taken]));
}

/** Spans of time, where they meet made one, the earliest first. */
function joined(spans: readonly { from: number; to: number }[]): { from: number; to: number }[] {
  const found: { from: number; to: number }[] = [];
  for (const { from, to } of spans.toSorted((a, b) => a.from - b.from)) {
    const last = found.at(-1);
    if (last && from <= last.to) last.to = Math.max(last.to, to);
    else found.push({ from, to });
  }
  return found;
}
