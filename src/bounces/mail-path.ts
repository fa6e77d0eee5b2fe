import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** How a report came in. */
interface ReportPath {
  /** Its Received headers, the newest first: each server on the way puts its own on top (RFC 5321 §4.4). */
  received: readonly string[];
  /** Who brought it to the listener; null where it was read from a mailbox, whose servers are believed. */
  client: string | null;
}

/**
 * The foreign host that brought the mail to servers which are believed (`ours`, this machine, and what stands behind them
 * on private addresses): what a Received header says below that host's own is its word alone. As a list, because a server may write
 * down a name that the host gave itself, which may be an address: each of them must be good. Empty when the mail began
 * at our side.
 */
export function broughtBy({ received, client }: ReportPath, ours: ReadonlySet<string>): string[] {
  if (client !== null && !ours.has(plainIp(client)) && !isThisMachine(client)) return [plainIp(client)];
  for (const line of received) {
    const foreign = addressesInFrom(line).filter((ip) => !ours.has(ip) && !isNear(ip));
    if (foreign.length > 0) return foreign;
  }
  return [];
}

/** One spelling for each address: `::ffff:192.0.2.1` is `192.0.2.1`. */
export function plainIp(ip: string): string {
  return ipaddr.isValid(ip) ? ipaddr.process(ip).toString() : ip;
}

/**
 * Whether a host's name is made from its address, as hosters name the machines that they let: such a name says whose
 * network it is in, and nothing of who writes from there.
 */
export function isMadeFromAddress(name: string, ip: string): boolean {
  if (!ipaddr.IPv4.isValid(ip)) return false;
  const numbers: string[] = (name.match(/\d+/g) ?? []).map((one) => String(Number(one)));
  return ip
    .split('.')
    .slice(2)
    .every((octet) => numbers.includes(octet));
}

/** Addresses in `from name (name [192.0.2.1]) by ...`, as the many mail servers write it. */
function addressesInFrom(line: string): string[] {
  const clause = /^from\s(.*?)(?:\sby\s|;|$)/is.exec(line)?.[1] ?? '';
  return clause
    .split(/[\s()[\],=]+/)
    .map((word) => word.replace(/^IPv6:/i, '').replace(/^(\d+(?:\.\d+){3}):\d+$/, '$1'))
    .filter((word) => ipaddr.IPv4.isValidFourPartDecimal(word) || ipaddr.IPv6.isValid(word))
    .map(plainIp);
}

const NEAR = new Set(['loopback', 'private', 'uniqueLocal', 'linkLocal', 'carrierGradeNat']);

/** A server that stands in front of ours, for it. */
function isThisMachine(ip: string): boolean {
  return ipaddr.isValid(ip) && ipaddr.process(ip).range() === 'loopback';
}

/** No stranger connects from there. */
function isNear(ip: string): boolean {
  return NEAR.has(ipaddr.process(ip).range());
}

/** By the domain of the host to submit to: that of the hosts which the provider's reports come from. */
const REPORTS_FROM: Readonly<Record<string, string>> = {
  'office365.com': 'outlook.com',
  'gmail.com': 'google.com',
  'amazonaws.com': 'amazonses.com',
  'mailgun.org': 'mailgun.net',
  'postmarkapp.com': 'mtasv.net',
};

/** The domains by which a host of a relay's may call itself; none for a relay that is given by its address. */
export function namesOfRelay(host: string): string[] {
  if (isIP(host) !== 0) return [];
  const family = Object.entries(REPORTS_FROM).find(([domain]) => `.${host}`.endsWith(`.${domain}`));
  return family ? [host, family[1]] : [host];
}
