import type { DnsResolver } from '../../infra/dns.js';

/** `none`: the DNS says there is nothing. `unasked`: it did not say anything, so nothing is known. */
export type DnsAnswer<T> =
  | { kind: 'found'; records: T[] }
  | { kind: 'none'; records: [] }
  | { kind: 'unasked'; records: []; reason: string };

/** As node:dns names "no such domain" and "no such record". */
const NOTHING = new Set(['ENOTFOUND', 'ENODATA']);

export async function ask<T>(question: () => Promise<T[]>): Promise<DnsAnswer<T>> {
  try {
    const records = await question();
    return records.length === 0 ? { kind: 'none', records: [] } : { kind: 'found', records };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (NOTHING.has(code)) return { kind: 'none', records: [] };
    return { kind: 'unasked', records: [], reason: code || 'the question failed' };
  }
}

/** The strings of each TXT record put together, as every user of them reads it (RFC 7208 §3.3, RFC 6376 §3.6.2.2). */
export async function askTxt(dns: DnsResolver, name: string): Promise<DnsAnswer<string>> {
  return ask(async () => (await dns.resolveTxt(name)).map((strings) => strings.join('')));
}

/**
 * The same resolver until `signal` ends it: then every question, under way or new, fails at once. An installation
 * without a network gets its answers in seconds, all of them "could not ask".
 */
export function endedBy(dns: DnsResolver, signal: AbortSignal): DnsResolver {
  const late = (): Error => Object.assign(new Error('no answer in time'), { code: 'ETIMEOUT' });
  const within = async <T>(question: () => Promise<T>): Promise<T> => {
    if (signal.aborted) throw late();
    return new Promise<T>((resolve, reject) => {
      const end = (): void => reject(late());
      signal.addEventListener('abort', end, { once: true });
      question()
        .then(resolve, reject)
        .finally(() => signal.removeEventListener('abort', end));
    });
  };
  return {
    resolveTxt: async (name) => within(async () => dns.resolveTxt(name)),
    resolveMx: async (name) => within(async () => dns.resolveMx(name)),
    resolve4: async (name) => within(async () => dns.resolve4(name)),
    resolve6: async (name) => within(async () => dns.resolve6(name)),
    reverse: async (ip) => within(async () => dns.reverse(ip)),
  };
}

/** Exists as long as the DNS does. */
const ALWAYS_THERE = 'a.root-servers.net';

/**
 * A resolver without a way out often answers "no such name" to everything, which would read as a domain without a single
 * record. One that does not even know a root server is taken for no answer at all.
 */
export async function unlessBlind(dns: DnsResolver): Promise<DnsResolver> {
  const sees = await ask(async () => dns.resolve4(ALWAYS_THERE));
  if (sees.kind === 'found') return dns;
  const blind = async (): Promise<never> => {
    throw Object.assign(new Error('the resolver knows no name'), { code: 'NO_NETWORK' });
  };
  return { resolveTxt: blind, resolveMx: blind, resolve4: blind, resolve6: blind, reverse: blind };
}
