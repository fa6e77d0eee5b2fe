import ipaddr from 'ipaddr.js';

/** IPv6 that is given out to anybody; whatever else parses as "unicast" is local, translated or not in use. */
const GLOBAL_IPV6 = ipaddr.parseCIDR('2000::/3');

/**
 * Whether an address belongs to the public internet. Everything else (loopback, private, link-local with the cloud's
 * metadata, carrier NAT, multicast, and IPv6 forms that hide such an address) is somebody's inside.
 */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  // Also unwraps ::ffff:127.0.0.1.
  const ip = ipaddr.process(address);
  if (ip.range() !== 'unicast') return false;
  return ip.kind() === 'ipv4' || (ip as ipaddr.IPv6).match(GLOBAL_IPV6 as [ipaddr.IPv6, number]);
}
