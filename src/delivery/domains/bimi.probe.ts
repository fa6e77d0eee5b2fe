import type { DnsResolver } from '../../infra/dns.js';
import { askTxt } from './dns.probe.js';
import type { DmarcAnswer } from './dmarc.probe.js';
import { finding, unasked, type Finding, type Remark } from './finding.js';
import { certificateRemarks, logoRemarks } from './logo.js';
import type { FileSeen, RemoteHosts } from './remote-hosts.js';
import { parseTagList } from './tag-list.js';

/** Gmail and others take no larger picture. */
const MAX_LOGO_BYTES = 32 * 1024;
/** A chain of certificates, one of which holds the picture. */
const MAX_CERTIFICATE_BYTES = 512 * 1024;

interface BimiContext {
  /** Null: the files behind the record are not looked at. */
  remote: Pick<RemoteHosts, 'file'> | null;
  now: Date;
}

/**
 * D9: a logo beside the mail, if the owner wants one. Without a record there is nothing to say. With one: the policy that
 * it needs, the picture (SVG Tiny PS) and the certificate (VMC or CMC).
 */
export async function checkBimi(
  dns: DnsResolver,
  { from, dmarc: answer }: { from: string; dmarc: DmarcAnswer },
  { remote, now }: BimiContext,
): Promise<Finding> {
  const found = await bimiRecord(dns, from, answer.organisation);
  if (found.kind === 'unasked') return unasked('D9', 'BIMI', found.reason);
  if (found.kind === 'none') return finding('D9', 'BIMI', 'no logo published, which is fine', []);
  const tags = parseTagList(found.records[0] ?? '');
  const [l = '', a = ''] = [tags?.get('l'), tags?.get('a')];
  const isOne = found.records.length === 1 && tags?.get('v') === 'BIMI1';
  if (isOne && l === '' && a === '')
    return finding('D9', 'BIMI', 'the record says that no logo is to be shown', []);
  const remarks: Remark[] = [];
  const warn = (text: string): number => remarks.push({ level: 'warn', text });
  if (!isOne) warn('the record is not one v=BIMI1 record');
  if (!/^https:\/\/\S+\.svg$/i.test(l)) warn('l= must be an https address of an SVG (Tiny PS)');
  if (!/^https:\/\//i.test(a)) warn('a= has no certificate (VMC or CMC), which most providers want');
  remarks.push(...policyRemarks(answer));
  if (remote !== null) remarks.push(...(await fileRemarks(remote, { l, a, at: found.at, now })));
  return finding('D9', 'BIMI', 'logo and certificate are published', remarks);
}

type BimiRecord =
  { kind: 'found'; at: string; records: string[] } | { kind: 'none' } | { kind: 'unasked'; reason: string };

/** That of the domain itself, else that of the organisation. */
async function bimiRecord(dns: DnsResolver, from: string, organisation: string): Promise<BimiRecord> {
  for (const at of new Set([from, organisation])) {
    const answer = await askTxt(dns, `default._bimi.${at}`);
    if (answer.kind === 'unasked') return answer;
    if (answer.kind === 'found') return { kind: 'found', at, records: answer.records };
  }
  return { kind: 'none' };
}

function policyRemarks({ dmarc, unasked }: DmarcAnswer): Remark[] {
  if (!dmarc && unasked)
    return [{ level: 'unknown', text: 'could not ask for the DMARC policy that a logo needs' }];
  if (!dmarc || dmarc.policy === 'none' || dmarc.testing)
    return [{ level: 'warn', text: 'a logo is shown only with DMARC at p=quarantine or p=reject' }];
  // Gone with RFC 9989, and still heeded by those who show logos.
  const pct = Number(dmarc.tags.get('pct') ?? '100');
  return pct < 100 ? [{ level: 'warn', text: `no logo is shown with pct=${pct} in the DMARC record` }] : [];
}

async function fileRemarks(
  remote: Pick<RemoteHosts, 'file'>,
  { l, a, at, now }: { l: string; a: string; at: string; now: Date },
): Promise<Remark[]> {
  const look = async (url: string, maxBytes: number): Promise<FileSeen | null> =>
    /^https:\/\//i.test(url) ? remote.file(url, maxBytes) : null;
  const [logo, certificate] = await Promise.all([look(l, MAX_LOGO_BYTES), look(a, MAX_CERTIFICATE_BYTES)]);
  const remarks = [...missing(l, logo), ...missing(a, certificate)];
  if (logo?.kind === 'read') remarks.push(...(await logoRemarks(logo)));
  if (certificate?.kind === 'read')
    remarks.push(
      ...(await certificateRemarks({
        certificate: certificate.bytes,
        logo: logo?.kind === 'read' ? logo.bytes : null,
        domain: at,
        now,
      })),
    );
  return remarks;
}

function missing(url: string, file: FileSeen | null): Remark[] {
  if (file === null || file.kind === 'read') return [];
  return file.kind === 'gone'
    ? [{ level: 'warn', text: `${url} ${file.reason}` }]
    : [{ level: 'unknown', text: `could not look at ${url} (${file.reason})` }];
}
