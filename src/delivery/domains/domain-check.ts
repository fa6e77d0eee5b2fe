import { isIP } from 'node:net';
import { getDomain } from 'tldts';
import type { DkimKey } from '../dkim.js';
import { checkDkim } from './dkim-record.js';
import { checkDmarc, findDmarc, type DmarcAnswer } from './dmarc.js';
import { ask, askTxt, type Answer } from './dns.js';
import type { DnsResolver } from '../../infra/dns.js';
import { finding, unasked, type Finding, type Remark } from './finding.js';
import { isFreemail } from './freemail.js';
import { checkSpf } from './spf.js';
import { parseTagList } from './tag-list.js';

export interface DomainUnderTest {
  /** Domain of the From address, A-labels in lower case. */
  from: string;
  /** Domain of the return path. */
  returnPath: string;
  /** The keys that sign its mail. */
  keys: readonly DkimKey[];
}

/** D1 to D5, D8 and D9 for one sending domain, as its DNS stands. Never throws. */
export async function checkDomain(dns: DnsResolver, domain: DomainUnderTest): Promise<Finding[]> {
  const dmarc = await findDmarc(dns, domain.from);
  const organisation = await organisations(dns, domain, dmarc);
  const asked = await Promise.all([
    checkSpf(dns, domain.returnPath),
    checkDkim(dns, domain.from, domain.keys),
    checkDmarc(dns, domain.from, dmarc),
    checkMx(dns, domain),
    checkBimi(dns, domain.from, dmarc),
  ]);
  const known = [checkAlignment(domain, dmarc, organisation), checkFreemail(domain.from)];
  return [...asked, ...known].toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

/** D4: DMARC passes by SPF or by DKIM; the big providers want both. `organisation`: of each domain that takes part. */
export function checkAlignment(
  { from, returnPath, keys }: DomainUnderTest,
  { dmarc }: DmarcAnswer,
  organisation: ReadonlyMap<string, string>,
): Finding {
  const aligned = (domain: string, strict: boolean): boolean =>
    domain === from || (!strict && organisation.get(domain) === organisation.get(from));
  const spf = aligned(returnPath, dmarc?.strictSpf ?? false);
  const dkim = keys.some((key) => aligned(key.domain, dmarc?.strictDkim ?? false));
  const remarks: Remark[] = [];
  if (!spf)
    remarks.push({
      level: dkim ? 'warn' : 'fail',
      text: `the return path ${returnPath} does not align with ${from}, so SPF does not count for DMARC`,
    });
  if (!dkim && keys.length > 0)
    remarks.push({
      level: spf ? 'warn' : 'fail',
      text: `the signature's domain ${keys[0]?.domain} does not align with ${from}`,
    });
  const good = dkim ? 'return path and signature align with From' : 'the return path aligns with From';
  return finding('D4', 'alignment', good, remarks);
}

/** By DMARC records where there are any (RFC 9989 §4.10.2), else by the public suffix list, as older receivers do. */
async function organisations(
  dns: DnsResolver,
  { from, returnPath, keys }: DomainUnderTest,
  ofFrom: DmarcAnswer,
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const domain of [from, returnPath, ...keys.map((key) => key.domain)]) {
    if (found.has(domain)) continue;
    const { dmarc, organisation } = domain === from ? ofFrom : await findDmarc(dns, domain);
    found.set(domain, dmarc ? organisation : (getDomain(domain, { allowPrivateDomains: true }) ?? domain));
  }
  return found;
}

/** D5: somebody takes what comes back. Whether postmaster@ and abuse@ exist is for the owner to see to (RFC 2142). */
async function checkMx(dns: DnsResolver, { from, returnPath }: DomainUnderTest): Promise<Finding> {
  const remarks: Remark[] = [];
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
  }
  return finding(
    'D5',
    'MX',
    `mail to ${from} has a place; see that postmaster@ and abuse@ are read`,
    remarks,
  );
}

async function withoutMx(dns: DnsResolver, domain: string, what: string): Promise<Remark[]> {
  const v4 = await ask(async () => dns.resolve4(domain));
  const address = v4.kind === 'none' ? await ask(async () => dns.resolve6(domain)) : v4;
  if (address.kind === 'found')
    return [{ level: 'warn', text: `${domain} has no MX; ${what} go to its web server, if it takes them` }];
  return [{ level: 'fail', text: `${domain} has no MX and no address, so ${what} are lost` }];
}

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
  for (const name of names.records) {
    const back: Answer<string> = await ask(async () =>
      version === 4 ? dns.resolve4(name) : dns.resolve6(name),
    );
    if (back.kind === 'unasked') return unasked('D6', 'PTR', back.reason);
    if (back.records.some((one) => sameIp(one, ip)))
      return finding('D6', 'PTR', `${ip} is ${name}, and back`, []);
  }
  const text = `${ip} is called ${names.records[0]}, but that name does not lead back to it`;
  return finding('D6', 'PTR', '', [{ level: 'fail', text }]);
}

/** D8. */
export function checkFreemail(from: string): Finding {
  const text = `${from} belongs to a mailbox provider; receivers refuse mail in its name from anybody else`;
  const remarks: Remark[] = isFreemail(from) ? [{ level: 'fail', text }] : [];
  return finding('D8', 'own domain', `${from} is no mailbox provider's`, remarks);
}

/** D9: a logo beside the mail, if the owner wants one. Without a record there is nothing to say. */
export async function checkBimi(dns: DnsResolver, from: string, { dmarc }: DmarcAnswer): Promise<Finding> {
  const answer = await askTxt(dns, `default._bimi.${from}`);
  if (answer.kind === 'unasked') return unasked('D9', 'BIMI', answer.reason);
  if (answer.kind === 'none') return finding('D9', 'BIMI', 'no logo published, which is fine', []);
  const tags = parseTagList(answer.records[0] ?? '');
  const remarks: Remark[] = [];
  const warn = (text: string): number => remarks.push({ level: 'warn', text });
  if (answer.records.length > 1 || tags?.get('v') !== 'BIMI1') warn('the record is not one v=BIMI1 record');
  if (!/^https:\/\/\S+\.svg$/i.test(tags?.get('l') ?? ''))
    warn('l= must be an https address of an SVG (Tiny PS)');
  if (!/^https:\/\//i.test(tags?.get('a') ?? ''))
    warn('a= has no certificate (VMC or CMC), which most providers want');
  if (!dmarc || dmarc.policy === 'none' || dmarc.testing)
    warn('a logo is shown only with DMARC at p=quarantine or p=reject');
  return finding('D9', 'BIMI', 'logo and certificate are published', remarks);
}

function sameIp(a: string, b: string): boolean {
  return a === b || normalIp(a) === normalIp(b);
}

/** URL writes an IPv6 address in its one short form. */
function normalIp(ip: string): string {
  return isIP(ip) === 6 ? new URL(`http://[${ip}]/`).hostname : ip;
}
