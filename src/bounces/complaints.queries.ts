import type { EntityManager } from 'typeorm';
import { ENOUGH_FOR, type ProviderTally } from '../delivery/guards/sending-health.js';
import { receiverOf, takenBy } from '../delivery/message/recipient-group.js';
import { domainSql } from '../values/email-address.js';

/** Whose readers complained: a group of receivers or, of all others, one receiver by itself, whose name stands for it. */
export interface Provider {
  group: string;
  receiver: string | null;
}

/** Of so few complaints at one of all others nothing is made: they are many, and two angry readers meet at some by chance. */
const RECEIVER_LEAST = 5;

/** Of the bounce `b`. Who leaves by a report has not complained. */
const COMPLAINED = `b.verdict = 'complaint' and b.reason <> 'opt_out' and b.trusted`;

/** Whether the message `m` went to the receiver of that name, or it has none. */
const wentTo = (
  receiver: string,
): string => `(${receiver}::text is null or ${domainSql('lower(m.address)')} in (
  select ${receiver} union all
  select domain from mail_domain where group_key = 'other' and ${takenBy('coalesce(mx_host, domain)', receiver)}))`;

/**
 * How the mails that each mailbox provider took since `since` fare: of how many somebody complained, out of how many, which
 * are counted up to the number above which so many complaints call for nothing. A complaint about an older mail says nothing
 * about those, of which there may be few. All others are judged together and, where enough complained, each by itself, as
 * the rate at a small one is lost among them. Served by `bounce_complaint`, primary keys and `message_accepted`.
 */
export async function complaintsByProvider(
  db: EntityManager,
  since: Date,
): Promise<{ provider: Provider; tally: ProviderTally }[]> {
  const domains: { group: string; domain: string; mxHost: string | null; complaints: number }[] =
    await db.query(
      `select c.group, c.domain, d.mx_host as "mxHost", c.complaints from (
         select b.provider_group as group, ${domainSql('lower(m.address)')} as domain,
           count(distinct b.message_id)::int as complaints
         from bounce b join message m on m.id = b.message_id
         where ${COMPLAINED} and b.received_at > $1 and m.accepted_at > $1 and b.provider_group is not null
         group by 1, 2) c
       left join mail_domain d on d.domain = c.domain`,
      [since],
    );
  const found: { provider: Provider; tally: ProviderTally }[] = [];
  for (const { group, receiver, complaints } of providersOf(domains)) {
    const rows: { accepted: number }[] = await db.query(
      `select count(*)::int as accepted from (select from message m
         where m.state = 'accepted' and m.accepted_at > $1 and split_part(m.lane_key, '|', 2) = $2 and ${wentTo('$3')}
         limit $4) k`,
      [since, group, receiver, complaints * ENOUGH_FOR.complaint + 1],
    );
    const tally = { group: receiver ?? group, complaints, accepted: rows[0]?.accepted ?? 0 };
    found.push({ provider: { group, receiver }, tally });
  }
  return found;
}

function providersOf(
  domains: readonly { group: string; domain: string; mxHost: string | null; complaints: number }[],
): (Provider & { complaints: number })[] {
  const sums = new Map<string, Provider & { complaints: number }>();
  const add = (provider: Provider, complaints: number): void => {
    const key = JSON.stringify(provider);
    sums.set(key, { ...provider, complaints: (sums.get(key)?.complaints ?? 0) + complaints });
  };
  for (const { group, domain, mxHost, complaints } of domains) {
    add({ group, receiver: null }, complaints);
    if (group === 'other') add({ group, receiver: receiverOf(domain, mxHost) }, complaints);
  }
  return [...sums.values()].filter(
    ({ receiver, complaints }) => complaints >= (receiver === null ? 2 : RECEIVER_LEAST),
  );
}

/**
 * Broadcasts under way of which somebody at the provider complained, about a mail that it took since `since` and since the
 * owner last let it go on, without those that were paused for it before. Served by `bounce_complaint` and primary keys.
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
       and (m.settled_at > k.resumed_at) is not false`,
    [since, group, receiver],
  );
  return rows.map(({ id }) => id);
}
