import ipaddr from 'ipaddr.js';

/**
 * Networks from which mail services fetch pictures for their readers: Apple's own 17.0.0.0/8, and the ranges Google
 * publishes for its user-triggered fetchers and its picture proxy. A click from there may be a person's.
 */
const NETWORKS: readonly (readonly [string, string])[] = [
  ['apple', '17.0.0.0/8'],
  ['google', '66.249.80.0/20'],
  ['google', '66.102.0.0/20'],
  ['google', '64.233.160.0/19'],
  ['google', '72.14.192.0/18'],
  ['google', '74.125.0.0/16'],
];

const RANGES = NETWORKS.map(([name, range]) => ({ name, range: ipaddr.IPv4.parseCIDR(range) }));

/** The mail service whose network the address lies in, or null. Anything that is no address: null. */
export function networkOf(ip: string): string | null {
  if (!ipaddr.isValid(ip)) return null;
  const address = ipaddr.process(ip);
  if (!(address instanceof ipaddr.IPv4)) return null;
  return RANGES.find(({ range }) => address.match(range))?.name ?? null;
}
