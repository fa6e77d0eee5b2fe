import ipaddr from 'ipaddr.js';

/** A number of proxies in a row before this server, or the addresses and networks they may have. */
export type TrustedProxies = number | string[];

const MAX_HOPS = 10;
/** As `@fastify/proxy-addr` names them. */
const NAMED_NETWORKS = new Set(['loopback', 'linklocal', 'uniquelocal']);
const ADVICE = `use the number of proxies in front (1 to ${MAX_HOPS}) or their addresses or networks, such as 10.0.0.0/8,192.0.2.7`;

/**
 * Reads `2` or `10.0.0.0/8, 192.0.2.7, loopback`. Answers a text with advice when it is neither. A network that holds
 * every address is refused, because with it each visitor could choose an address for themselves.
 */
export function readTrustedProxies(value: string): TrustedProxies | string {
  if (/^\d+$/.test(value.trim())) {
    const hops = Number(value);
    return hops >= 1 && hops <= MAX_HOPS ? hops : ADVICE;
  }
  const entries = value.split(',').map((entry) => entry.trim());
  for (const entry of entries) {
    const problem = entryProblem(entry);
    if (problem !== null) return problem;
  }
  return entries;
}

function entryProblem(entry: string): string | null {
  if (NAMED_NETWORKS.has(entry)) return null;
  if (!entry.includes('/')) return isAddress(entry) ? null : `"${entry}" is no address; ${ADVICE}`;
  const slash = entry.indexOf('/');
  const [address, bits] = [entry.slice(0, slash), entry.slice(slash + 1)];
  const most = ipaddr.IPv6.isValid(address) ? 128 : 32;
  if (!isAddress(address) || !/^\d{1,3}$/.test(bits) || Number(bits) > most)
    return `"${entry}" is no network; ${ADVICE}`;
  return Number(bits) === 0
    ? `"${entry}" holds every address there is; name the network of the proxies`
    : null;
}

/** Dotted quads in full: `ipaddr.js` would read `10` and `0x7f.1`, too, as addresses of 1983. */
function isAddress(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text);
}

/** Networks that a stranger cannot connect from, as `ipaddr.js` names them. */
const NEAR = new Set(['loopback', 'private', 'uniqueLocal', 'linkLocal', 'carrierGradeNat']);

/**
 * Whether the word of this peer is taken about who stands behind it. `hop` is 0 for the connection itself. A number of
 * proxies counts only behind a connection from this machine or a private network: who reaches the server past its
 * proxies could otherwise bring a forged chain of the right length.
 */
export function trustsHop(hops: number, address: string, hop: number): boolean {
  return hop < hops && (hop > 0 || (ipaddr.isValid(address) && NEAR.has(ipaddr.process(address).range())));
}
