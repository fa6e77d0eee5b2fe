import { getDomain } from 'tldts';
import type { DkimKey } from '../signing/dkim.js';
import { checkBimi } from './bimi.probe.js';
import { checkDkim } from './dkim-record.probe.js';
import { checkDmarc, findDmarc, type DmarcAnswer } from './dmarc.probe.js';
import type { DnsResolver } from '../../infra/dns.js';
import { finding, type Finding, type Remark } from './finding.js';
import { isFreemail } from './freemail.js';
import { checkMx } from './mx.probe.js';
import type { RemoteHosts } from './remote-hosts.js';
import { checkSpf } from './spf.probe.js';

export interface DomainUnderTest {
  /** Domain of the From address, A-labels in lower case. */
  from: string;
  /** Domain of the return path. */
  returnPath: string;
  /** The keys that sign its mail. */
  keys: readonly DkimKey[];
  /** Addresses that its mail leaves from, as far as they are known. */
  ips?: readonly string[];
}

/**
 * D1 to D5, D8 and D9 for one sending domain, as its DNS stands. `remote`: null when the DNS alone is to be asked, which
 * is quicker. `now`: for certificates. Never throws.
 */
export async function checkDomain(
  dns: DnsResolver,
  domain: DomainUnderTest,
  { remote, now }: { remote: RemoteHosts | null; now: Date },
): Promise<Finding[]> {
  const dmarc = await findDmarc(dns, domain.from);
  const organisation = await organisations(dns, domain, dmarc);
  const asked = await Promise.all([
    checkSpf(dns, domain.returnPath, domain.ips).then((found) => ofReturnPath(domain, found)),
    checkDkim(dns, domain.from, domain.keys),
    checkDmarc(dns, domain.from, dmarc),
    checkMx(dns, remote, domain),
    checkBimi(dns, { from: domain.from, dmarc }, { remote, now }),
  ]);
  const known = [checkAlignment(domain, dmarc, organisation), checkFreemail(domain.from)];
  return [...asked, ...known].toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

/** Receivers ask the domain of the return path for its SPF, and the owner looks at the one that stands beside the result. */
function ofReturnPath({ from, returnPath }: DomainUnderTest, found: Finding): Finding {
  if (returnPath === from || found.detail.includes(returnPath)) return found;
  return { ...found, detail: `at the return path ${returnPath}: ${found.detail}` };
}

/** D4: DMARC passes by SPF or by DKIM; the big providers want both. `organisation`: of each domain that takes part. */
function checkAlignment(
  { from, returnPath, keys }: DomainUnderTest,
  { dmarc, unasked }: DmarcAnswer,
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
  // The record that nobody answered for may ask for more than the organisation's name.
  const strictUnknown = unasked !== null && dmarc?.foundAt !== from;
  const byName = returnPath === from || keys.some((key) => key.domain === from);
  if (strictUnknown && !byName && (spf || dkim))
    remarks.push({
      level: 'unknown',
      text: `whether alignment must be strict is not known: could not ask for _dmarc.${unasked.at} (${unasked.reason})`,
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

/** D8. */
function checkFreemail(from: string): Finding {
  const text = `${from} belongs to a mailbox provider; receivers refuse mail in its name from anybody else`;
  const remarks: Remark[] = isFreemail(from) ? [{ level: 'fail', text }] : [];
  return finding('D8', 'own domain', `${from} is no mailbox provider's`, remarks);
}
