import type { EntityManager } from 'typeorm';
import { ERASED } from '../../subscribers/erased.js';
import { receiverOf, takenBy } from '../message/recipient-group.js';
import { loudest, organisationOf, type Said } from './organisations.js';
import type { ProviderTally } from './sending-health.js';

/** Of so few complaints at one of all others nothing is made: they are many, and two angry readers meet at some by chance. */
const RECEIVER_LEAST = 5;

/** A domain of one of all others, of which readers complained. */
export interface ComplainedDomain {
  domain: string;
  mxHost: string | null;
  complaints: number;
}

/** The receivers behind the domains of which enough complained, with how many did, as the rate at a small one is lost among all others. */
export function complainedReceivers(domains: readonly ComplainedDomain[]): [string, number][] {
  const sums = new Map<string, number>();
  for (const { domain, mxHost, complaints } of domains) {
    // Nobody knows any more where they read: who complains may well ask to be forgotten, and those of all providers would be one.
    if (domain === ERASED) continue;
    const receiver = receiverOf(domain, mxHost);
    sums.set(receiver, (sums.get(receiver) ?? 0) + complaints);
  }
  return [...sums].filter(([, complaints]) => complaints >= RECEIVER_LEAST);
}

/** Complaints at a receiver of readers under domains of others, which it takes the mail of: its own domain is all that is judged. */
export function hostedAt(receiver: string, domains: readonly ComplainedDomain[]): Said[] {
  return domains
    .filter(
      ({ domain, mxHost }) => receiverOf(domain, mxHost) === receiver && organisationOf(domain) !== receiver,
    )
    .map(({ domain, complaints }) => ({ domain, count: complaints }));
}

/** Each domain whose mail one of the receivers takes, as far as that is known. Reads `mail_domain`. */
export async function domainsOf(
  db: EntityManager,
  receivers: readonly string[],
): Promise<{ receiver: string; domain: string }[]> {
  return db.query(
    `select name as receiver, name as domain from unnest($1::text[]) as n (name) union
     select n.name, d.domain from unnest($1::text[]) as n (name)
       join mail_domain d on d.group_key = 'other' and ${takenBy('coalesce(d.mx_host, d.domain)', 'n.name')}`,
    [receivers],
  );
}

/** How the mails of one broadcast or sequence fare at each of those receivers; `acceptedAt` counts what the domains took of them. */
export async function receiverTallies(
  db: EntityManager,
  complained: readonly ComplainedDomain[],
  acceptedAt: (domains: readonly string[]) => Promise<{ domain: string; accepted: number }[]>,
): Promise<ProviderTally[]> {
  const receivers = complainedReceivers(complained);
  if (receivers.length === 0) return [];
  const taken = await domainsOf(
    db,
    receivers.map(([receiver]) => receiver),
  );
  const rows = await acceptedAt([...new Set(taken.map(({ domain }) => domain))]);
  const accepted = new Map(rows.map((row) => [row.domain, row.accepted]));
  return receivers.map(([group, complaints]) => {
    const all = taken
      .filter(({ receiver }) => receiver === group)
      .reduce((sum, { domain }) => sum + (accepted.get(domain) ?? 0), 0);
    const ofOne = loudest(hostedAt(group, complained), { mails: accepted, all });
    return { group, complaints, accepted: all, ofOne };
  });
}
