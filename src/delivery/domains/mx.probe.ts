import { isIP } from 'node:net';
import { classifyReply } from '../replies/reply-class.js';
import type { DnsResolver } from '../../infra/dns.js';
import { ask, type DnsAnswer } from './dns.probe.js';
import { finding, unasked, type Finding, type Remark } from './finding.js';
import type { MailboxReply, RemoteHosts } from './remote-hosts.js';

/** Every domain with mail has them (RFC 5321 §4.5.1, RFC 2142); providers write there before they block. */
const DUTIES = ['postmaster', 'abuse'] as const;
/** Servers that are looked up and asked: those that mail would be brought to first. */
const MAX_HOSTS = 5;
const MAX_ASKED = 2;
const MAX_QUOTE_CHARS = 120;

/** A mail server of the domain that has an address. */
interface MailHost {
  name: string;
  address: string;
}

/**
 * D5: somebody takes what comes back, and postmaster@ and abuse@ of the From domain are there. `remote`: null leaves the
 * question after those two to the owner.
 */
export async function checkMx(
  dns: DnsResolver,
  remote: Pick<RemoteHosts, 'mailboxes'> | null,
  { from, returnPath }: { from: string; returnPath: string },
): Promise<Finding> {
  const remarks: Remark[] = [];
  const ofFrom: MailHost[] = [];
  for (const domain of new Set([from, returnPath])) {
    const mx = await ask(async () => dns.resolveMx(domain));
    if (mx.kind === 'unasked') return unasked('D5', 'MX', mx.reason);
    const what = domain === returnPath && domain !== from ? 'bounces' : 'replies and bounces';
    // RFC 7505: a single "." says that the domain takes no mail.
    if (mx.records.some(({ exchange }) => exchange === '' || exchange === '.'))
      remarks.push({
        level: 'fail',
        text: `${domain} says that it takes no mail (null MX), so ${what} are lost`,
      });
    else if (mx.kind === 'none') remarks.push(...(await withoutMx(dns, domain, what)));
    else {
      const names = mx.records.toSorted((a, b) => a.priority - b.priority).map(({ exchange }) => exchange);
      const found = await hostsOf(dns, names.slice(0, MAX_HOSTS));
      remarks.push(...hostRemarks(domain, found, what));
      if (domain === from) ofFrom.push(...found.hosts);
    }
  }
  if (remote !== null && ofFrom.length > 0) remarks.push(...(await mailboxRemarks(remote, from, ofFrom)));
  const duty =
    remote === null ? 'see that postmaster@ and abuse@ are read' : 'it takes postmaster@ and abuse@';
  return finding('D5', 'MX', `mail to ${from} has a place; ${duty}`, remarks);
}

interface HostsFound {
  hosts: MailHost[];
  /** Names without an address, or that are none. */
  lost: string[];
  /** Why one could not be looked up. */
  unasked: string | null;
}

async function hostsOf(dns: DnsResolver, names: readonly string[]): Promise<HostsFound> {
  const found: HostsFound = { hosts: [], lost: [], unasked: null };
  for (const name of names) {
    // RFC 5321 §5.1: a number is no name, and many senders do not go there.
    const answer = isIP(name) === 0 ? await addressOf(dns, name) : null;
    const [address] = answer?.records ?? [];
    if (address !== undefined) found.hosts.push({ name, address });
    else if (answer?.kind === 'unasked') found.unasked = answer.reason;
    else found.lost.push(name);
  }
  return found;
}

async function addressOf(dns: DnsResolver, name: string): Promise<DnsAnswer<string>> {
  const v4 = await ask(async () => dns.resolve4(name));
  return v4.kind === 'none' ? ask(async () => dns.resolve6(name)) : v4;
}

function hostRemarks(domain: string, { hosts, lost, unasked: reason }: HostsFound, what: string): Remark[] {
  const remarks: Remark[] = [];
  if (reason !== null)
    remarks.push({ level: 'unknown', text: `could not ask for a mail server of ${domain} (${reason})` });
  if (lost.length === 0) return remarks;
  const named = `${lost.join(' and ')}, which ${domain} names as mail server, has no address`;
  const isAll = hosts.length === 0 && reason === null;
  remarks.push({ level: isAll ? 'fail' : 'warn', text: isAll ? `${named}, so ${what} are lost` : named });
  return remarks;
}

async function withoutMx(dns: DnsResolver, domain: string, what: string): Promise<Remark[]> {
  const address = await addressOf(dns, domain);
  if (address.kind === 'found')
    return [{ level: 'warn', text: `${domain} has no MX; ${what} go to its web server, if it takes them` }];
  return [{ level: 'fail', text: `${domain} has no MX and no address, so ${what} are lost` }];
}

/** By the first server that says anything. */
async function mailboxRemarks(
  remote: Pick<RemoteHosts, 'mailboxes'>,
  domain: string,
  hosts: readonly MailHost[],
): Promise<Remark[]> {
  const addresses = DUTIES.map((duty) => `${duty}@${domain}`);
  for (const { name, address } of hosts.slice(0, MAX_ASKED)) {
    const replies = await remote.mailboxes(address, addresses);
    if (replies.some(({ reply }) => reply !== null)) return replies.flatMap((one) => remarkOf(name, one));
  }
  const names = hosts.slice(0, MAX_ASKED).map(({ name }) => name);
  return [
    {
      level: 'unknown',
      text: `${names.join(' and ')} could not be asked for ${addresses.join(' and ')} (port 25 may be closed from here); see that both are read`,
    },
  ];
}

/** Only a server that does not know the address says something about it; any other refusal is about us, or for now. */
function remarkOf(host: string, { address, reply }: MailboxReply): Remark[] {
  if (reply !== null && reply.code < 300) return [];
  const said = reply === null ? 'nothing' : `"${reply.text.slice(0, MAX_QUOTE_CHARS)}"`;
  const isRefused =
    reply !== null &&
    reply.code >= 500 &&
    classifyReply({ replyCode: reply.code, text: reply.text, stage: 'rcpt' }).verdict === 'hard';
  return isRefused
    ? [{ level: 'warn', text: `nobody gets mail to ${address}: ${host} says ${said}; make that mailbox` }]
    : [{ level: 'unknown', text: `whether ${address} is there is not known: ${host} says ${said}` }];
}
