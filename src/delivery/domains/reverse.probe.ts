import { isIP } from 'node:net';
import type { DnsResolver } from '../../infra/dns.js';
import { ask, type DnsAnswer } from './dns.probe.js';
import { finding, unasked, type Finding } from './finding.js';

/** D6: the name behind the sending address leads back to it. `ip` is known when the owner gives it. */
export async function checkReverse(dns: DnsResolver, ip: string): Promise<Finding> {
  const version = isIP(ip);
  if (version === 0) return finding('D6', 'PTR', '', [{ level: 'fail', text: `"${ip}" is no IP address` }]);
  const names = await ask(async () => dns.reverse(ip));
  if (names.kind === 'unasked') return unasked('D6', 'PTR', names.reason);
  if (names.kind === 'none')
    return finding('D6', 'PTR', '', [
      { level: 'fail', text: `${ip} has no name (PTR); ask its provider for one` },
    ]);
  let silent: string | null = null;
  for (const name of names.records) {
    const back: DnsAnswer<string> = await ask(async () =>
      version === 4 ? dns.resolve4(name) : dns.resolve6(name),
    );
    if (back.kind === 'unasked') silent = back.reason;
    if (back.records.some((one) => sameIp(one, ip)))
      return finding('D6', 'PTR', `${ip} is ${name}, and back`, []);
  }
  // Another of its names may lead back, and only that one was not answered.
  if (silent !== null) return unasked('D6', 'PTR', silent);
  const text = `${ip} is called ${names.records[0]}, but that name does not lead back to it`;
  return finding('D6', 'PTR', '', [{ level: 'fail', text }]);
}

function sameIp(a: string, b: string): boolean {
  return a === b || normalIp(a) === normalIp(b);
}

/** URL writes an IPv6 address in its one short form. */
function normalIp(ip: string): string {
  return isIP(ip) === 6 ? new URL(`http://[${ip}]/`).hostname : ip;
}
