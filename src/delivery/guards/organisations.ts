import { getDomain } from 'tldts';
import { ERASED } from '../../subscribers/erased.js';
import { domainOf } from '../../values/email-address.js';
import { mailboxOf } from '../../values/mailbox.js';
import { RECIPIENT_GROUPS, recipientGroup } from '../message/recipient-group.js';
import type { HealthVerdict, OfOne, RefusedTally, ReportKind } from './sending-health.js';

/** Reports of one kind about the mails to one domain, or to one address. */
export interface Said {
  domain: string;
  /** Where it is known, as that of a big provider: its mailbox may have many names. */
  address?: string | null;
  count: number;
}

/** Who has read so many mails, or half of all, is nobody's invention: what comes back of these is what all is about. */
const MANY_MAILS = 100;

/**
 * Who reads at a domain, where reports are weighed: whoever has one has every mailbox under it, may have subscribed with any number,
 * and answers and signs for them as their server. Null at the big providers by name, where a mailbox, under whichever of its names, is a reader.
 */
export function organisationOf(domain: string): string | null {
  return recipientGroup(domain) === 'other' ? (getDomain(domain) ?? domain) : null;
}

/**
 * The organisation with the most reports, of those that got few of the mails; `mails`: how many each of the domains got, out of
 * `all`. Undefined where none is to be weighed.
 */
export function loudest(
  said: readonly Said[],
  { mails, all }: { mails: ReadonlyMap<string, number>; all: number },
): OfOne | undefined {
  const found = new Map<string, { count: number; domains: Set<string> }>();
  for (const { domain, address, count } of said) {
    // Nobody knows any more where they read, and all who were erased would be one.
    if (domain === ERASED) continue;
    const organisation = organisationOf(domain);
    const name = organisation ?? (address ? mailboxOf(address) : null);
    if (name === null) continue;
    const one = found.get(name) ?? { count: 0, domains: new Set() };
    if (organisation !== null) one.domains.add(domain);
    found.set(name, { ...one, count: one.count + count });
  }
  const mailsTo = (domains: ReadonlySet<string>): number =>
    [...domains].reduce((sum, domain) => sum + (mails.get(domain) ?? 0), 0);
  return [...found]
    .map(([name, { count, domains }]) => ({ name, count, got: mailsTo(domains) }))
    .filter(({ got }) => got < MANY_MAILS && 2 * got < all)
    .map(({ name, count }) => ({ name: shown(name), count }))
    .toSorted((a, b) => b.count - a.count)[0];
}

/** An alert names no address. */
function shown(name: string): string {
  return name.includes('@') ? `one mailbox of ${domainOf(name)}` : name;
}

/** Reports of a kind about the mails to a domain of a provider. */
export interface SaidOf extends Said {
  provider: string;
  kind: ReportKind;
}

/** That one which is to be weighed has all reports: a domain of few mails has few, but a mailbox of a big provider any number of names. */
export const atWorst = (count: number): OfOne => ({ name: '', count });

/** Whether a single organisation may make the difference in `health`; the mails of each are counted for that alone, as it costs a look at all. */
export function mayBeOne(tally: RefusedTally, health: (tally: RefusedTally) => HealthVerdict): boolean {
  const { hard, sender, complaints, providers } = tally;
  if (health(tally).action !== 'pause') return false;
  const loudest = { hard: atWorst(hard), sender: atWorst(sender), complaint: atWorst(complaints) };
  const some = providers.map((one) => ({ ...one, ofOne: one.ofOne ?? atWorst(one.complaints) }));
  return health({ ...tally, loudest, providers: some }).action !== 'pause';
}

/** The tally with the loudest organisation of each kind, and with that of the complaints at each group of receivers. */
export function withLoudest(
  tally: RefusedTally,
  said: readonly SaidOf[],
  got: { mails: ReadonlyMap<string, number>; all: number },
): RefusedTally {
  const of = (kind: ReportKind, group?: string): OfOne | undefined =>
    loudest(
      said.filter((one) => one.kind === kind && (group === undefined || one.provider === group)),
      got,
    );
  const isGroup = (group: string | undefined): boolean => RECIPIENT_GROUPS.some((one) => one === group);
  return {
    ...tally,
    loudest: { hard: of('hard'), sender: of('sender'), complaint: of('complaint') },
    providers: tally.providers.map((one) =>
      isGroup(one.group) ? { ...one, ofOne: of('complaint', one.group) } : one,
    ),
  };
}
