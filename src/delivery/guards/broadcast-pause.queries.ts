import { domainSql } from '../../values/email-address.js';
import type { EntityManager } from 'typeorm';
import { readersOf } from './doubted-reports.js';
import { mayBeOne, type SaidOf, withLoudest } from './organisations.js';
import {
  broadcastHealth,
  complaintsOf,
  complaintTallies,
  NO_TALLY,
  type RefusedTally,
} from './sending-health.js';
import { type ComplainedDomain, receiverTallies } from './small-receivers.queries.js';
import { HARD_REASONS } from '../replies/reply-reason.js';
import { PLAINLY_US, SENDER_REFUSALS, senderRefusal } from '../replies/sender-refusal.js';

/** Of one with too many reports. */
export const REPORTS_ALERT = 'bounces:broadcast:';

/** Enough to tell a rotten list; more would make each look at a broadcast of a million slow. */
export const SAMPLE = 20_000;

/**
 * Stops a broadcast that runs or waits; the owner resumes it. `broadcast` belongs to a module that comes after this one
 * and reads its state as data, so the word is left here. `provider`: whose complaints about all mails stop it, which each
 * does once. Locks the broadcast's row. True when it was not paused before.
 */
export async function pauseBroadcast(
  manager: EntityManager,
  id: string,
  { reason, now, provider = null }: { reason: string; now: Date; provider?: string | null },
): Promise<boolean> {
  const [rows]: [unknown[], number] = await manager.query(
    `update broadcast set state = 'paused', state_reason = $2, paused_at = $4, paused_for_providers = paused_for_providers || array_remove(array[$3::text], null)
     where id = $1 and state in ('scheduled', 'planning', 'running') returning id`,
    [id, reason, provider, now],
  );
  return rows.length === 1;
}

interface Stand {
  title: string;
  state: string;
  /** Why it is paused. */
  reason: string | null;
}

/** How the owner calls it, and how it stands. */
export async function standOfBroadcast(manager: EntityManager, id: string): Promise<Stand> {
  const rows: Stand[] = await manager.query(
    'select title, state, state_reason as reason from broadcast where id = $1',
    [id],
  );
  return rows[0] ?? { title: id, state: '', reason: null };
}

/** The pause for reports `was` is one for `reason`, as more of them have come; not where it ended meanwhile. */
export async function sayOfPause(
  manager: EntityManager,
  id: string,
  { was, reason }: { was: string; reason: string },
): Promise<void> {
  await manager.query(
    `update broadcast set state_reason = $3 where id = $1 and state = 'paused' and state_reason = $2`,
    [id, was, reason],
  );
}

/** Whether the owner was told, since it was paused, for what came back that it is. Reads `alert` by its key. */
export async function toldOfReports(manager: EntityManager, id: string): Promise<boolean> {
  const rows: unknown[] = await manager.query(
    `select 1 from broadcast k join alert a on a.key = $2 || k.id and a.resolved_at is null
     where k.id = $1 and a.last_seen_at >= k.paused_at and a.facts ->> 'isPaused' = 'true'`,
    [id, REPORTS_ALERT],
  );
  return rows.length > 0;
}

/** As they are counted, and over how many mails at most. */
type Counted = RefusedTally & { counted: number };

/**
 * What is to be judged of a broadcast. The owner who lets one go on that was paused for what came back has judged that: from
 * then on its later mails count with what comes back of them, and by themselves the later complaints, whatever mail they are
 * about, among all of its mails. A reader complains days after a mail, and the rate among the few later ones would be none.
 */
export async function tallyBroadcast(db: EntityManager, id: string, sample: number | null): Promise<Counted> {
  const later = await tallyOf(db, { id, sample, of: 'later mails' });
  const [judged]: unknown[] = await db.query(
    'select 1 from broadcast where id = $1 and judged_report is not null',
    [id],
  );
  if (judged === undefined) return { ...later, counted: later.tried };
  const all = await tallyOf(db, { id, sample, of: 'later reports' });
  return {
    ...later,
    providers: [...later.providers, ...complaintTallies(all)],
    counted: Math.max(later.tried, all.tried),
  };
}

/** `later`: than what the owner has judged. */
interface Tallied {
  id: string;
  sample: number | null;
  of: 'later mails' | 'later reports';
}

/**
 * Counts over at most `sample` of a broadcast's mails that were tried, or over all of them (null), and what came back of
 * these very mails. Refusals during SMTP are read from the ledger, so they count before anybody has written them down as
 * bounces. Served by `message_broadcast_mailbox` and `bounce_broadcast`; changes nothing and locks nothing.
 */
async function tallyOf(db: EntityManager, { id, sample, of }: Tallied): Promise<RefusedTally> {
  const rows: (Omit<RefusedTally, 'doubted'> & { others: ComplainedDomain[]; doubtedAddresses: string[] })[] =
    await db.query(
      `with ended as materialized (
       select id, state, state_reason, split_part(lane_key, '|', 2) as provider from ${ended('$4', of)} e),
     at_provider as materialized (
       select provider, count(*) filter (where state = 'accepted') as accepted, count(*) as tried,
         count(*) filter (where state = 'rejected' and state_reason = any($2::text[])) as refused,
         count(*) filter (where state = 'held') as held
       from ended group by 1),
     sent as (
       select coalesce(sum(accepted), 0) as accepted, coalesce(sum(tried), 0) as tried, coalesce(sum(refused), 0) as refused,
         coalesce(sum(held), 0) as held
       from at_provider),
     report as materialized (
       select b.message_id, b.verdict, b.reason, b.source, e.provider from bounce b join ended e on e.id = b.message_id
       where b.broadcast_id = $1 and b.trusted ${since(of)}),
     reported as (
       -- One that may be forged gives up nobody, and is a dead address to the broadcast all the same.
       select count(distinct message_id) filter (where (verdict = 'hard' or verdict = 'soft' and reason = any($2::text[])) and source <> 'smtp_reply') as hard,
         count(distinct message_id) filter (where verdict = 'sender' and source <> 'smtp_reply') as sender
       from report),
     complained as materialized (
       select provider, count(distinct message_id) as complaints from report
       where verdict = 'complaint' and reason <> 'opt_out' group by 1),
     complained_domain as (
       select ${domainSql('lower(m.address)')} as domain, count(distinct r.message_id)::int as complaints
       from report r join message m on m.id = r.message_id
       where r.verdict = 'complaint' and r.reason <> 'opt_out' and r.provider = 'other' group by 1),
     of_sender as (
       select id, state_reason = any($5::text[]) as plainly_us from ended where state = 'held'
       union all
       select message_id, reason = any($6::text[]) from report where verdict = 'sender' and source <> 'smtp_reply'),
     whose as (
       select count(*) filter (where o.plainly_us) as plainly_us, count(distinct ${domainSql('m.address')}) as domains
       from of_sender o join message m on m.id = o.id)
     select s.accepted::int as accepted, s.tried::int as tried, (s.refused + r.hard)::int as hard,
       (s.held + r.sender)::int as sender, (select coalesce(sum(complaints), 0)::int from complained) as complaints,
       (select coalesce(jsonb_agg(jsonb_build_object('group', provider, 'accepted', accepted, 'complaints', complaints)
          order by complaints desc), '[]') from complained join at_provider using (provider)) as providers,
       (select coalesce(jsonb_agg(jsonb_build_object('domain', c.domain, 'mxHost', d.mx_host, 'complaints', c.complaints)), '[]')
          from complained_domain c left join mail_domain d using (domain)) as others,
       w.plainly_us::int as "plainlyUs", w.domains::int as "senderDomains",
       array(select distinct m.address from bounce b join ended e on e.id = b.message_id join message m on m.id = b.message_id
         where b.broadcast_id = $1 and b.verdict = 'sender' and not b.trusted ${since(of)}) as "doubtedAddresses"
     from sent s cross join reported r cross join whose w`,
      [id, HARD_REASONS, sample, SENDER_REFUSALS, PLAINLY_US.map(senderRefusal), PLAINLY_US],
    );
  if (rows[0] === undefined) return NO_TALLY;
  const { others, doubtedAddresses, ...tally } = rows[0];
  const ofReceivers = await receiverTallies(db, others, async (domains) =>
    acceptedAt(db, { id, sample, of, domains }),
  );
  const doubted = readersOf(doubtedAddresses);
  const all = { ...tally, doubted, providers: [...tally.providers, ...ofReceivers] };
  const found = of === 'later reports' ? complaintsOf(all) : all;
  return mayBeOne(found, broadcastHealth) ? weighed(db, found, { id, sample, of }) : found;
}

/** With the loudest organisation of each kind, which costs a second look at all mails. */
async function weighed(db: EntityManager, tally: RefusedTally, tallied: Tallied): Promise<RefusedTally> {
  const said = await saidOf(db, tallied);
  const got = await mailsTo(db, tallied.id, [...new Set(said.map(({ domain }) => domain))]);
  return withLoudest(tally, said, got);
}

/**
 * The reports that `tallyOf` counts over all mails, by domain and, at the big providers, by address. Served by
 * `message_broadcast_mailbox`, `bounce_broadcast` and the primary key.
 */
async function saidOf(db: EntityManager, { id, of }: Pick<Tallied, 'id' | 'of'>): Promise<SaidOf[]> {
  return db.query(
    `with said as (
       select m.id, m.address, m.lane_key, case m.state when 'held' then 'sender' else 'hard' end as kind from message m
       where ${isEnded('$3', of)} and (m.state = 'held' or m.state = 'rejected' and m.state_reason = any($2::text[]))
       union
       select m.id, m.address, m.lane_key, case when b.verdict in ('sender', 'complaint') then b.verdict else 'hard' end
       from bounce b join message m on m.id = b.message_id
       where b.broadcast_id = $1 and ${isEnded('$3', of)} and b.trusted and b.source <> 'smtp_reply' ${since(of)}
         and (b.verdict in ('hard', 'sender') or b.verdict = 'soft' and b.reason = any($2::text[]) or b.verdict = 'complaint' and b.reason <> 'opt_out'))
     select ${domainSql('w.address')} as domain, case when p.provider <> 'other' then lower(w.address) end as address, p.provider, w.kind, count(*)::int as count
     from said w cross join lateral (select split_part(w.lane_key, '|', 2) as provider) p group by 1, 2, 3, 4`,
    [id, HARD_REASONS, SENDER_REFUSALS],
  );
}

/** How many of all mails of a broadcast, also of those to come, go to each of the domains. Served by `message_broadcast_mailbox`. */
async function mailsTo(
  db: EntityManager,
  id: string,
  domains: readonly string[],
): Promise<{ mails: Map<string, number>; all: number }> {
  const rows: { domain: string | null; count: number }[] = await db.query(
    `select case when d.domain = any($2::text[]) then d.domain end as domain, count(*)::int as count
     from message m cross join lateral (select ${domainSql('m.address')} as domain) d
     where m.broadcast_id = $1 group by 1`,
    [id, domains],
  );
  const mails = new Map(rows.flatMap(({ domain, count }) => (domain === null ? [] : [[domain, count]])));
  return { mails, all: rows.reduce((sum, { count }) => sum + count, 0) };
}

/** What the domains, of small receivers, took of the same mails. */
async function acceptedAt(
  db: EntityManager,
  { id, sample, of, domains }: Tallied & { domains: readonly string[] },
): Promise<{ domain: string; accepted: number }[]> {
  const domain = domainSql('lower(e.address)');
  return db.query(
    `select ${domain} as domain, count(*)::int as accepted from ${ended('$2', of)} e
     where e.state = 'accepted' and split_part(e.lane_key, '|', 2) = 'other' and ${domain} = any ($4::text[]) group by 1`,
    [id, SENDER_REFUSALS, sample, domains],
  );
}

/** Of the bounce `b`. */
const since = (of: Tallied['of']): string =>
  of === 'later reports' ? 'and b.id > (select judged_report from broadcast where id = $1)' : '';

/** $1 the broadcast, $3 how many are counted, or null; `refusals`: the reasons for which a mail is held because of the sender. */
const ended = (refusals: string, of: Tallied['of']): string => `(
  select m.id, m.state, m.state_reason, m.lane_key, m.address from message m where ${isEnded(refusals, of)} limit $3)`;

/** Of the message `m`. */
const isEnded = (refusals: string, of: Tallied['of']): string =>
  `m.broadcast_id = $1 and (m.state in ('accepted', 'rejected') or m.state = 'held' and m.state_reason = any(${refusals}::text[]))
    ${of === 'later mails' ? 'and (m.settled_at > (select judged_at from broadcast where id = $1)) is not false' : ''}`;
