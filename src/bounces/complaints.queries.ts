import type { EntityManager } from 'typeorm';
import { atWorst, loudest, organisationOf } from '../delivery/guards/organisations.js';
import {
  complaintHealth,
  ENOUGH_FOR,
  type OfOne,
  type ProviderTally,
} from '../delivery/guards/sending-health.js';
import {
  type ComplainedDomain,
  complainedReceivers,
  domainsOf,
  hostedAt,
} from '../delivery/guards/small-receivers.queries.js';
import { takenBy } from '../delivery/message/recipient-group.js';
import { domainSql } from '../values/email-address.js';

/** Whose readers complained: a group of receivers or, of all others, one receiver by itself, whose name stands for it. */
interface Provider {
  group: string;
  receiver: string | null;
}

/** One angry reader says little. */
const GROUP_LEAST = 2;

/** Of the bounce `b`. Who leaves by a report has not complained. */
const COMPLAINED = `b.verdict = 'complaint' and b.reason <> 'opt_out' and b.trusted`;

/** Whether the message `m` went to the receiver of that name, or it has none. */
const wentTo = (
  receiver: string,
): string => `(${receiver}::text is null or ${domainSql('lower(m.address)')} in (
  select ${receiver} union all
  select domain from mail_domain where group_key = 'other' and ${takenBy('coalesce(mx_host, domain)', receiver)}))`;

export interface ProviderComplaints {
  provider: Provider;
  tally: ProviderTally;
}

/** Also of whom, at the big providers: a mailbox there may have many names. */
interface Complained extends ComplainedDomain {
  group: string;
  address: string | null;
}

/** A complaint about an older mail says nothing about those since, of which there may be few. Served by `bounce_complaint` and primary keys. */
async function complainedDomains(db: EntityManager, since: Date): Promise<Complained[]> {
  return db.query(
    `select c.group, c.domain, c.address, d.mx_host as "mxHost", c.complaints from (
       select b.provider_group as group, ${domainSql('lower(m.address)')} as domain,
         case when b.provider_group <> 'other' then lower(m.address) end as address, count(distinct b.message_id)::int as complaints
       from bounce b join message m on m.id = b.message_id
       where ${COMPLAINED} and b.received_at > $1 and m.accepted_at > $1 and b.provider_group is not null
       group by 1, 2, 3) c
     left join mail_domain d on d.domain = c.domain`,
    [since],
  );
}

/**
 * How the mails that each group of receivers took since `since` fare: of how many somebody complained, out of how many, which
 * are counted up to the number above which so many complaints call for nothing. Served by `message_accepted`.
 */
export async function complaintsByGroup(db: EntityManager, since: Date): Promise<ProviderComplaints[]> {
  const found: ProviderComplaints[] = [];
  const groups = new Map<string, number>();
  const complained = await complainedDomains(db, since);
  for (const { group, complaints } of complained) groups.set(group, (groups.get(group) ?? 0) + complaints);
  for (const [group, complaints] of groups) {
    if (complaints < GROUP_LEAST) continue;
    const rows: { accepted: number }[] = await db.query(
      `select count(*)::int as accepted from (select from message m
         where m.state = 'accepted' and m.accepted_at > $1 and split_part(m.lane_key, '|', 2) = $2 limit $3) k`,
      [since, group, complaints * ENOUGH_FOR.complaint + 1],
    );
    const tally = { group, complaints, accepted: rows[0]?.accepted ?? 0 };
    const ofOne = mayBeOfOne(tally)
      ? await loudestOf(
          db,
          { since, all: tally.accepted },
          complained.filter((one) => one.group === group),
        )
      : undefined;
    found.push({ provider: { group, receiver: null }, tally: { ...tally, ofOne } });
  }
  return found;
}

function mayBeOfOne(tally: ProviderTally): boolean {
  if (complaintHealth(tally).action !== 'pause') return false;
  return complaintHealth({ ...tally, ofOne: atWorst(tally.complaints) }).action !== 'pause';
}

/** Reads all mails since then, where a single organisation may have made a rate too high. Served by `message_accepted`. */
async function loudestOf(
  db: EntityManager,
  { since, all }: { since: Date; all: number },
  complained: readonly Complained[],
): Promise<OfOne | undefined> {
  const domains = complained.map(({ domain }) => domain).filter((domain) => organisationOf(domain) !== null);
  const rows: { domain: string; count: number }[] =
    domains.length === 0
      ? []
      : await db.query(
          `select d.domain, count(*)::int as count
           from message m cross join lateral (select ${domainSql('lower(m.address)')} as domain) d
           where m.state = 'accepted' and m.accepted_at > $1 and d.domain = any($2::text[]) group by 1`,
          [since, [...new Set(domains)]],
        );
  const mails = new Map(rows.map(({ domain, count }) => [domain, count]));
  const said = complained.map(({ domain, address, complaints }) => ({ domain, address, count: complaints }));
  return loudest(said, { mails, all });
}

/**
 * The same of each receiver among all others of which enough complained, as the rate at a small one is lost among them; for
 * each time of `sinces`, in that order. A small one has taken few mails among very many, so all of the longest time are
 * read, once for all receivers and times, and not at all where nobody has enough.
 */
export async function complaintsByReceiver(
  db: EntityManager,
  sinces: readonly Date[],
): Promise<ProviderComplaints[][]> {
  const complained: { others: ComplainedDomain[]; receivers: [string, number][] }[] = [];
  for (const since of sinces) {
    const others = (await complainedDomains(db, since)).filter(({ group }) => group === 'other');
    complained.push({ others, receivers: complainedReceivers(others) });
  }
  const names = [...new Set(complained.flatMap(({ receivers }) => receivers.map(([receiver]) => receiver)))];
  if (names.length === 0) return sinces.map(() => []);
  const { accepted, byDomain } = await acceptedByReceiver(db, names, sinces);
  return complained.map(({ others, receivers }, span) => {
    const mails = new Map([...byDomain].map(([domain, counts]) => [domain, counts[span] ?? 0]));
    return receivers.map(([receiver, complaints]) => {
      const all = accepted.get(receiver)?.[span] ?? 0;
      const ofOne = loudest(hostedAt(receiver, others), { mails, all });
      return {
        provider: { group: 'other', receiver },
        tally: { group: receiver, complaints, accepted: all, ofOne },
      };
    });
  });
}

/** By name, and by domain, a number for each time. */
async function acceptedByReceiver(
  db: EntityManager,
  receivers: readonly string[],
  sinces: readonly Date[],
): Promise<Record<'accepted' | 'byDomain', Map<string, number[]>>> {
  const taken = await domainsOf(db, receivers);
  const times = sinces.map((_, n) => `$${n + 2}::timestamptz`);
  const address = domainSql('lower(m.address)');
  const rows: { domain: string; accepted: number[] }[] = await db.query(
    `select ${address} as domain,
       array[${times.map((time) => `count(*) filter (where m.accepted_at > ${time})::int`).join(', ')}] as accepted
     from message m
     where m.state = 'accepted' and m.accepted_at > least(${times.join(', ')}) and split_part(m.lane_key, '|', 2) = 'other'
       and ${address} = any ($1::text[])
     group by 1`,
    [[...new Set(taken.map(({ domain }) => domain))], ...sinces],
  );
  const byDomain = new Map(rows.map(({ domain, accepted }) => [domain, accepted]));
  const found = new Map<string, number[]>();
  for (const { receiver, domain } of taken) {
    const before = found.get(receiver) ?? [];
    const more = byDomain.get(domain) ?? [];
    found.set(
      receiver,
      sinces.map((_, span) => (before[span] ?? 0) + (more[span] ?? 0)),
    );
  }
  return { accepted: found, byDomain };
}

/**
 * Broadcasts under way of which somebody at the provider complained, about a mail that it took since `since`, after the owner
 * last let it go on who had judged those before, without those that were paused for it before. Served by `bounce_complaint` and primary keys.
 */
export async function complainedBroadcasts(
  db: EntityManager,
  { group, receiver }: Provider,
  since: Date,
): Promise<string[]> {
  const rows: { id: string }[] = await db.query(
    `select distinct k.id from bounce b join message m on m.id = b.message_id join broadcast k on k.id = b.broadcast_id
     where ${COMPLAINED} and b.received_at > $1 and m.accepted_at > $1 and b.provider_group = $2 and ${wentTo('$3')}
       and k.state in ('scheduled', 'planning', 'running') and coalesce($3, $2) <> all(k.paused_for_providers)
       and (b.id > k.judged_report) is not false`,
    [since, group, receiver],
  );
  return rows.map(({ id }) => id);
}
