import { getDomain, getPublicSuffix } from 'tldts';
import { askTxt } from './dns.probe.js';
import type { DnsResolver } from '../../infra/dns.js';
import { finding, unaskedRemark, type Finding, type Remark } from './finding.js';
import { parseTagList } from './tag-list.js';

type DmarcPolicy = 'none' | 'quarantine' | 'reject';

/** What a receiver applies to mail from the domain (RFC 9989). */
interface Dmarc {
  /** Where the record stands: the domain itself or one above it. */
  foundAt: string;
  tags: ReadonlyMap<string, string>;
  policy: DmarcPolicy;
  /** `t=y`: receivers act one step milder than the policy says. */
  testing: boolean;
  strictDkim: boolean;
  strictSpf: boolean;
}

export interface DmarcAnswer {
  dmarc: Dmarc | null;
  /** The domain that alignment is measured by. */
  organisation: string;
  /** Names where more than one record stands, which count as none. */
  doubled: string[];
  /** A name that the DNS did not answer for and whose record, if there is one, would change the above; null when all did. */
  unasked: { at: string; reason: string } | null;
}

/** RFC 9989 §4.10: longer names lose their left labels at once, so that a walk has eight questions at most. */
const WALK_LABELS = 8;
/** Of the public suffix list: also what is let to others below a name of its own, such as github.io. */
const LISTED = { allowPrivateDomains: true };
const POLICIES = new Set<string>(['none', 'quarantine', 'reject']);
/** Gone with RFC 7489; receivers ignore them. */
const OBSOLETE = ['pct', 'rf', 'ri'];

interface Found {
  at: string;
  tags: ReadonlyMap<string, string>;
}

/**
 * The DNS tree walk: from the domain up to the top, without a list of public suffixes (RFC 9989 §4.10). What is found
 * stays when another name is not answered for, as one at the top often is.
 */
export async function findDmarc(dns: DnsResolver, domain: string): Promise<DmarcAnswer> {
  const found: Found[] = [];
  const doubled: string[] = [];
  let unasked: DmarcAnswer['unasked'] = null;
  for (const at of walkNames(domain)) {
    const answer = await askTxt(dns, `_dmarc.${at}`);
    if (answer.kind === 'unasked') {
      // What a registry says of all below it changes nothing for those who have a record of their own.
      if (at === domain || !isPublicSuffix(at)) unasked ??= { at, reason: answer.reason };
      continue;
    }
    const records = answer.records.filter((text) => /^v\s*=\s*DMARC1\s*(?:;|$)/.test(text));
    if (records.length > 1) doubled.push(at);
    const tags = records.length === 1 ? parseTagList(records[0] ?? '') : null;
    if (!tags) continue;
    found.push({ at, tags });
    if (tags.get('psd') === 'n' || tags.get('psd') === 'y') break;
  }
  const organisation =
    unasked === null ? organisationOf(domain, found) : (getDomain(domain, LISTED) ?? domain);
  const own = found.find(({ at }) => at === domain);
  const used = own ?? found.find(({ at }) => at === organisation) ?? found.at(-1);
  const dmarc = used ? dmarcOf(used, used === own) : null;
  return { dmarc, organisation, doubled, unasked };
}

function isPublicSuffix(domain: string): boolean {
  return getPublicSuffix(domain, LISTED) === domain;
}

/** D3: a policy that receivers ask for, and reports about what happens to our mail. */
export async function checkDmarc(dns: DnsResolver, domain: string, answer: DmarcAnswer): Promise<Finding> {
  const { dmarc, doubled, unasked } = answer;
  const remarks: Remark[] = doubled.map((at) => ({
    level: 'fail',
    text: `_dmarc.${at} has more than one record, so none counts`,
  }));
  const silent = unasked && unaskedRemark(`_dmarc.${unasked.at}`, unasked.reason);
  // A record of the domain's own is the one that counts, whatever stands above.
  if (silent && (!dmarc || unasked.at === domain)) return finding('D3', 'DMARC', '', [...remarks, silent]);
  if (!dmarc) {
    const text = `there is no valid record; publish _dmarc.${domain} with "v=DMARC1; p=none; rua=mailto:dmarc@${domain}"`;
    return finding('D3', 'DMARC', '', [...remarks, { level: 'fail', text }]);
  }
  const known = `p=${dmarc.policy} at _dmarc.${dmarc.foundAt}`;
  if (silent && dmarc.foundAt !== domain) remarks.push({ ...silent, text: `${known}, but ${silent.text}` });
  for (const name of OBSOLETE.filter((tag) => dmarc.tags.has(tag)))
    remarks.push({ level: 'warn', text: `${name}= is ignored since RFC 9989; remove it` });
  if (dmarc.testing)
    remarks.push({
      level: 'warn',
      text: `t=y makes receivers act one step milder than p=${dmarc.policy}; remove it when you are sure`,
    });
  const written = dmarc.tags.get('p');
  if (written === undefined || !POLICIES.has(written.toLowerCase()))
    remarks.push({ level: 'warn', text: 'p= is none of none, quarantine and reject, so it counts as none' });
  remarks.push(...(await reportRemarks(dns, dmarc)));
  return finding('D3', 'DMARC', known, remarks);
}

function walkNames(domain: string): string[] {
  let labels = domain.split('.');
  const names = [domain];
  while (labels.length > 1) {
    labels = labels.length >= WALK_LABELS ? labels.slice(-(WALK_LABELS - 1)) : labels.slice(1);
    names.push(labels.join('.'));
  }
  return names;
}

/** RFC 9989 §4.10.2. */
function organisationOf(domain: string, found: readonly Found[]): string {
  const marked = found.find(({ tags }) => tags.get('psd') === 'n');
  if (marked) return marked.at;
  const suffix = found.find(({ at, tags }) => at !== domain && tags.get('psd') === 'y');
  if (suffix)
    return domain
      .split('.')
      .slice(-(suffix.at.split('.').length + 1))
      .join('.');
  return found.at(-1)?.at ?? domain;
}

function dmarcOf({ at, tags }: Found, own: boolean): Dmarc | null {
  const read = (tag: string): DmarcPolicy | null => {
    const value = tags.get(tag)?.toLowerCase() ?? '';
    return POLICIES.has(value) ? (value as DmarcPolicy) : null;
  };
  const policy = own ? read('p') : (read('sp') ?? read('p'));
  // RFC 9989 §4.7: without a readable policy a record counts only for its reports, as p=none.
  if (policy === null && !tags.has('rua')) return null;
  return {
    foundAt: at,
    tags,
    policy: policy ?? 'none',
    testing: tags.get('t')?.toLowerCase() === 'y',
    strictDkim: tags.get('adkim')?.toLowerCase() === 's',
    strictSpf: tags.get('aspf')?.toLowerCase() === 's',
  };
}

async function reportRemarks(dns: DnsResolver, { tags, foundAt }: Dmarc): Promise<Remark[]> {
  const addresses = (tags.get('rua') ?? '')
    .split(',')
    .map((uri) => /^mailto:[^@\s]+@([a-z0-9.-]+?)(?:!\d+[kmgt]?)?$/i.exec(uri.trim())?.[1]?.toLowerCase());
  if (tags.get('rua') === undefined)
    return [{ level: 'warn', text: 'rua= is missing, so nobody tells you when your mail fails' }];
  const remarks: Remark[] = [];
  for (const host of new Set(addresses)) {
    if (host === undefined)
      remarks.push({ level: 'warn', text: 'rua= holds something that is no mailto address' });
    else if (host !== foundAt && !host.endsWith(`.${foundAt}`) && !foundAt.endsWith(`.${host}`)) {
      // RFC 9990 §4: another domain must say that it wants the reports.
      const consent = await askTxt(dns, `${foundAt}._report._dmarc.${host}`);
      if (consent.kind === 'none')
        remarks.push({ level: 'warn', text: `${host} has not agreed to take reports for ${foundAt}` });
    }
  }
  return remarks;
}
