import { isIP } from 'node:net';
import { ask, askTxt, type DnsAnswer } from './dns.probe.js';
import type { DnsResolver } from '../../infra/dns.js';
import { finding, unasked, unaskedRemark, type Finding, type Remark } from './finding.js';

/** RFC 7208 §4.6.4; beyond them the whole record is a permanent error. */
const MAX_LOOKUPS = 10;
const MAX_VOID = 2;
/** Twice what is allowed: enough to say by how much, and an end for circles. */
const WALK_LIMIT = 20;

/** In place of the qualifier of `all`, where the record that has it is another one for every mail. */
const UNTOLD = 'untold';

const TERM =
  /^(?:[+?~-]?(?:all|(?:include|exists):[^\s:]+|(?:a|mx|ptr)(?::[^\s/]+)?(?:\/\d{1,3})?(?:\/\/\d{1,3})?|ip4:[\d.]+(?:\/\d{1,2})?|ip6:[\da-f:.]+(?:\/\d{1,3})?)|(?:redirect|exp|[a-z][\w.-]*)=\S*)$/i;

interface Walk {
  dns: DnsResolver;
  lookups: number;
  voids: number;
  remarks: Remark[];
}

/**
 * D1: one record that every receiver can evaluate, and that names the addresses which mail leaves from, where those are
 * known. `domain` is that of the envelope (the return path).
 */
export async function checkSpf(
  dns: DnsResolver,
  domain: string,
  ips: readonly string[] = [],
): Promise<Finding> {
  const walk: Walk = { dns, lookups: 0, voids: 0, remarks: [] };
  const record = await spfRecord(walk, domain);
  if (typeof record !== 'string') {
    if (record.kind === 'unasked') return unasked('D1', 'SPF', record.reason);
    const text =
      record.count === 0
        ? `${domain} has no SPF record; publish one that names your relay`
        : `${domain} has ${record.count} SPF records, so none counts; make one of them`;
    return finding('D1', 'SPF', '', [{ level: 'fail', text }]);
  }
  const all = await terms(walk, record, domain);
  if (all === null && walk.lookups <= MAX_LOOKUPS)
    walk.remarks.push({
      level: 'warn',
      text: `the record does not end in ~all or -all, so it forbids nobody`,
    });
  else if (all === '+' || all === '?')
    walk.remarks.push({
      level: all === '+' ? 'fail' : 'warn',
      text: `${all}all lets anybody send; use ~all or -all`,
    });
  if (walk.lookups > MAX_LOOKUPS)
    walk.remarks.push({
      level: 'fail',
      text: `it takes ${walk.lookups >= WALK_LIMIT ? 'more than 20' : walk.lookups} DNS lookups; receivers stop at ${MAX_LOOKUPS}`,
    });
  if (walk.voids > MAX_VOID)
    walk.remarks.push({
      level: 'fail',
      text: `${walk.voids} of its names do not exist; receivers stop after ${MAX_VOID}`,
    });
  // A record that is no good allows nobody; saying so once is enough.
  if (walk.remarks.every(({ level }) => level !== 'fail'))
    for (const ip of ips.filter((one) => isIP(one) !== 0))
      walk.remarks.push(...(await ipRemarks(dns, domain, ip)));
  return finding('D1', 'SPF', `one record, ${walk.lookups} of ${MAX_LOOKUPS} lookups`, walk.remarks);
}

/** As a receiver would judge a mail of this domain that comes from `ip` (RFC 7208 §4.3). */
async function ipRemarks(dns: DnsResolver, domain: string, ip: string): Promise<Remark[]> {
  const { spf } = await import('mailauth/lib/spf/index.js');
  const { status } = await spf({
    sender: `postmaster@${domain}`,
    ip,
    helo: domain,
    resolver: async (name, type) => records(dns, { name, type, ip }),
  });
  if (status.result === 'pass') return [];
  return status.result === 'temperror'
    ? [{ level: 'unknown', text: `could not ask whether it allows ${ip}` }]
    : [{ level: 'fail', text: `it does not allow ${ip}, where mail leaves from (${status.result})` }];
}

async function records(
  dns: DnsResolver,
  { name, type, ip }: { name: string; type: string; ip: string },
): Promise<string[] | string[][]> {
  if (type === 'TXT') return dns.resolveTxt(name);
  // Read as node:dns gives them, which the library's types leave out.
  if (type === 'MX') return (await dns.resolveMx(name)) as never[];
  if (type === 'PTR') return dns.reverse(ip);
  return type === 'AAAA' ? dns.resolve6(name) : dns.resolve4(name);
}

type NoRecord = { kind: 'none'; count: number } | { kind: 'unasked'; reason: string };

async function spfRecord({ dns }: Walk, domain: string): Promise<string | NoRecord> {
  const answer = await askTxt(dns, domain);
  if (answer.kind === 'unasked') return answer;
  const records = answer.records.filter((text) => /^v=spf1(?: |$)/i.test(text));
  return records.length === 1 && records[0] !== undefined
    ? records[0]
    : { kind: 'none', count: records.length };
}

/** Walks one record and what it includes. Returns the qualifier of its `all`, null without one, or `UNTOLD`. */
async function terms(walk: Walk, record: string, domain: string): Promise<string | null> {
  let all: string | null = null;
  let redirect: string | null = null;
  for (const term of record.split(/ +/).slice(1).filter(Boolean)) {
    if (!TERM.test(term)) {
      walk.remarks.push({
        level: 'fail',
        text: `"${term.slice(0, 60)}" in the record of ${domain} is no SPF term`,
      });
      continue;
    }
    const [, qualifier = '+', name = '', argument] =
      /^([+?~-])?([a-z0-9]+)(?:[:=]([^/]*))?/i.exec(term) ?? [];
    if (name.toLowerCase() === 'all') all = qualifier || '+';
    else if (name.toLowerCase() === 'redirect') redirect = argument ?? null;
    else await mechanism(walk, name.toLowerCase(), targetOf(argument || domain, domain));
    if (walk.lookups > WALK_LIMIT) return all;
  }
  if (redirect !== null && all === null) {
    walk.lookups++;
    const target = targetOf(redirect, domain);
    return target === null ? UNTOLD : nested(walk, target, 'redirect');
  }
  return all;
}

/** A name that differs from mail to mail: what can be said is that it takes a lookup. `%{d}` is the record's own domain (RFC 7208 §7). */
function targetOf(text: string, domain: string): string | null {
  const target = text.replaceAll(/%\{d\}/gi, domain);
  return target.includes('%') ? null : target;
}

async function mechanism(walk: Walk, name: string, target: string | null): Promise<void> {
  const { dns } = walk;
  if (!['include', 'a', 'mx', 'ptr', 'exists'].includes(name)) return;
  walk.lookups++;
  if (target === null || name === 'exists') return;
  if (name === 'include') await nested(walk, target, 'include');
  else if (name === 'ptr')
    walk.remarks.push({ level: 'warn', text: 'ptr is slow and many receivers skip it (RFC 7208 §5.5)' });
  else if (name === 'mx') count(walk, target, await ask(async () => dns.resolveMx(target)));
  else {
    const [v4, v6] = await Promise.all([
      ask(async () => dns.resolve4(target)),
      ask(async () => dns.resolve6(target)),
    ]);
    count(walk, target, v4.kind === 'none' ? v6 : v4);
  }
}

async function nested(walk: Walk, target: string, by: string): Promise<string | null> {
  if (walk.lookups > WALK_LIMIT) return null;
  const record = await spfRecord(walk, target);
  if (typeof record === 'string') return terms(walk, record, target);
  if (record.kind === 'unasked') walk.remarks.push(unaskedRemark(target, record.reason));
  else {
    if (record.count === 0) walk.voids++;
    // RFC 7208 §5.2 and §6.1: that ends the evaluation in a permanent error.
    walk.remarks.push({
      level: 'fail',
      text: `${by}:${target} has ${record.count} SPF records instead of one`,
    });
  }
  return null;
}

function count(walk: Walk, name: string, answer: DnsAnswer<unknown>): void {
  if (answer.kind === 'none') walk.voids++;
  else if (answer.kind === 'unasked') walk.remarks.push(unaskedRemark(name, answer.reason));
}
