import type { EntityManager } from 'typeorm';
import { readersOf } from '../delivery/guards/doubted-reports.js';
import { mayBeOne, type SaidOf, withLoudest } from '../delivery/guards/organisations.js';
import {
  complaintsOf,
  complaintTallies,
  ENOUGH_FOR,
  NO_TALLY,
  SEQUENCE_LEAST,
  sequenceHealth,
  type RefusedTally,
} from '../delivery/guards/sending-health.js';
import { type ComplainedDomain, receiverTallies } from '../delivery/guards/small-receivers.queries.js';
import { PLAINLY_US } from '../delivery/replies/sender-refusal.js';
import { domainSql } from '../values/email-address.js';

/**
 * What is to be judged of the mails that a funnel's sequences have sent since `since`. What the owner has judged at `judgedAt`, by
 * letting it go on after a pause for reports, does not count again: later mails count with what comes back of them and, as a
 * reader complains days after a mail, by themselves the later complaints, whatever mail they are about, among all mails.
 */
export async function tallySequence(
  db: EntityManager,
  funnelKey: string,
  { since, judgedAt }: { since: Date; judgedAt: Date | null },
): Promise<RefusedTally> {
  const isJudged = judgedAt !== null && judgedAt > since;
  const from = isJudged ? judgedAt : since;
  const later = await tallyOf(db, { funnelKey, since: from, reportedSince: from });
  if (!isJudged) return later;
  const all = await tallyOf(db, { funnelKey, since, reportedSince: from });
  return { ...later, providers: [...later.providers, ...complaintTallies(all)] };
}

/** The mails that were sent, and the reports that came, after these times. */
interface Tallied {
  funnelKey: string;
  since: Date;
  reportedSince: Date;
}

/**
 * How the mails that a funnel's sequences have sent since `since` fare: how many were taken, and what came back of these
 * very mails. A refused one has no time on the application's clock but that of its report, a minute later. What was taken
 * is counted only where enough has come back to call for something, and up to the number above which it calls for nothing.
 * Served by `bounce_received`, `message_accepted` and `message_funnel`.
 */
async function tallyOf(db: EntityManager, tallied: Tallied): Promise<RefusedTally> {
  const { funnelKey, since, reportedSince } = tallied;
  const doubted = await doubtedOf(db, tallied);
  const rows: (Omit<RefusedTally, 'doubted'> & { others: ComplainedDomain[] })[] = await db.query(
    `with report as materialized (
       select b.message_id, b.verdict, b.reason, b.source, m.address, split_part(m.lane_key, '|', 2) as provider
       from bounce b join message m on m.id = b.message_id
       where b.trusted and b.received_at > $11 and m.kind = 'sequence' and m.funnel_key = $1
         and coalesce(m.accepted_at, b.received_at) > $2),
     reported as (
       select count(distinct b.message_id) filter (where b.verdict = 'hard') as hard,
         count(distinct b.message_id) filter (where b.verdict = 'sender') as sender,
         count(distinct b.message_id) filter (where b.verdict = 'sender' and b.reason = any($9::text[])) as plainly_us,
         count(distinct ${domainSql('b.address')}) filter (where b.verdict = 'sender') as sender_domains,
         count(distinct b.message_id) filter (where b.verdict = 'complaint' and b.reason <> 'opt_out') as complaints,
         count(distinct b.message_id) filter (where b.source = 'smtp_reply' and b.verdict in ('hard', 'sender')) as refused
       from report b),
     complained as materialized (
       select provider, count(distinct message_id) as complaints from report
       where verdict = 'complaint' and reason <> 'opt_out' group by 1 having count(distinct message_id) >= $5),
     complained_domain as (
       select ${domainSql('lower(r.address)')} as domain, count(distinct r.message_id)::int as complaints
       from report r
       where r.verdict = 'complaint' and r.reason <> 'opt_out' and r.provider = 'other' group by 1),
     at_provider as (
       select c.provider, c.complaints, (select count(*) from (select from message m
         where m.funnel_key = $1 and m.state = 'accepted' and m.kind = 'sequence' and m.accepted_at > $2
           and split_part(m.lane_key, '|', 2) = c.provider
         limit c.complaints * $8::int + 1) k) as accepted
       from complained c),
     taken as (
       select count(*) as accepted from (select from message m
         where m.funnel_key = $1 and m.state = 'accepted' and m.kind = 'sequence' and m.accepted_at > $2
           and (select greatest(r.hard, $10::int) >= $3 or r.sender >= $4 or r.complaints >= $5 from reported r)
         limit (select greatest(greatest(r.hard, $10::int) * $6::int, r.sender * $7::int, r.complaints * $8::int) + 1 from reported r)) k)
     select t.accepted::int as accepted, (t.accepted + r.refused)::int as tried, r.hard::int as hard, r.sender::int as sender,
       r.complaints::int as complaints, r.plainly_us::int as "plainlyUs", r.sender_domains::int as "senderDomains",
       (select coalesce(jsonb_agg(jsonb_build_object('group', provider, 'accepted', accepted, 'complaints', complaints)
          order by complaints desc), '[]') from at_provider) as providers,
       (select coalesce(jsonb_agg(jsonb_build_object('domain', c.domain, 'mxHost', d.mx_host, 'complaints', c.complaints)), '[]')
        from complained_domain c left join mail_domain d using (domain)) as others
     from taken t cross join reported r`,
    [
      ...[funnelKey, since, SEQUENCE_LEAST.hard, SEQUENCE_LEAST.sender, SEQUENCE_LEAST.complaints],
      ...[ENOUGH_FOR.hard, ENOUGH_FOR.sender, ENOUGH_FOR.complaint, PLAINLY_US, doubted, reportedSince],
    ],
  );
  if (rows[0] === undefined) return NO_TALLY;
  const { others, ...tally } = rows[0];
  const ofReceivers = await receiverTallies(db, others, async (domains) => acceptedAt(db, tallied, domains));
  const all = { ...tally, doubted, providers: [...tally.providers, ...ofReceivers] };
  const found = reportedSince > since ? complaintsOf(all) : all;
  return mayBeOne(found, sequenceHealth) ? weighed(db, found, tallied) : found;
}

/** With the loudest organisation of each kind, which costs a second look at all mails. */
async function weighed(
  db: EntityManager,
  tally: RefusedTally,
  { funnelKey, since, reportedSince }: Tallied,
): Promise<RefusedTally> {
  const said: (SaidOf & { refused: number })[] = await db.query(
    `select ${domainSql('lower(m.address)')} as domain, case when p.provider <> 'other' then lower(m.address) end as address,
       p.provider, b.verdict as kind, count(distinct b.message_id)::int as count,
       (count(distinct b.message_id) filter (where b.source = 'smtp_reply'))::int as refused
     from bounce b join message m on m.id = b.message_id cross join lateral (select split_part(m.lane_key, '|', 2) as provider) p
     where b.trusted and b.received_at > $3 and m.kind = 'sequence' and m.funnel_key = $1
       and coalesce(m.accepted_at, b.received_at) > $2
       and (b.verdict in ('hard', 'sender') or b.verdict = 'complaint' and b.reason <> 'opt_out')
     group by 1, 2, 3, 4`,
    [funnelKey, since, reportedSince],
  );
  const rows: { domain: string; count: number }[] = await db.query(
    `select d.domain, count(*)::int as count
     from message m cross join lateral (select ${domainSql('lower(m.address)')} as domain) d
     where m.funnel_key = $1 and m.state = 'accepted' and m.kind = 'sequence' and m.accepted_at > $2
       and d.domain = any($3::text[]) group by 1`,
    [funnelKey, since, [...new Set(said.map(({ domain }) => domain))]],
  );
  const mails = new Map(rows.map(({ domain, count }) => [domain, count]));
  for (const { domain, refused } of said) mails.set(domain, (mails.get(domain) ?? 0) + refused);
  return withLoudest(tally, said, { mails, all: tally.tried });
}

/** Readers of these very mails of whose a report says that may be forged that it was refused because of us. Served by `bounce_untrusted`. */
async function doubtedOf(db: EntityManager, { funnelKey, since, reportedSince }: Tallied): Promise<number> {
  const rows: { address: string }[] = await db.query(
    `select distinct m.address from bounce b join message m on m.id = b.message_id
     where not b.trusted and b.verdict = 'sender' and b.received_at > $3 and m.kind = 'sequence' and m.funnel_key = $1
       and coalesce(m.accepted_at, b.received_at) > $2`,
    [funnelKey, since, reportedSince],
  );
  return readersOf(rows.map(({ address }) => address));
}

/** What the domains, of small receivers, took of the mails of a funnel's sequences. Served as `tallyOf`. */
async function acceptedAt(
  db: EntityManager,
  { funnelKey, since }: Tallied,
  domains: readonly string[],
): Promise<{ domain: string; accepted: number }[]> {
  const domain = domainSql('lower(m.address)');
  return db.query(
    `select ${domain} as domain, count(*)::int as accepted from message m
     where m.funnel_key = $1 and m.state = 'accepted' and m.kind = 'sequence' and m.accepted_at > $2
       and split_part(m.lane_key, '|', 2) = 'other' and ${domain} = any ($3::text[]) group by 1`,
    [funnelKey, since, domains],
  );
}
