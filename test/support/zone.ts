import type { DnsResolver } from '../../src/infra/dns.js';

/** Records by type and name, `{ 'TXT example.com': ['v=spf1 -all'] }`; an MX is `'10 mx.example.com'`. */
export type Zone = Record<string, string[]>;

/** DNS answers as node:dns gives them. A name that is not there does not exist; `'FAIL'` as record is no answer. */
export function dnsOf(zone: Zone): DnsResolver & { questions: string[] } {
  const questions: string[] = [];
  const records = async (type: string, name: string): Promise<string[]> => {
    questions.push(`${type} ${name}`);
    const found = zone[`${type} ${name.toLowerCase()}`];
    if (found?.[0] === 'FAIL') throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
    if (!found) throw Object.assign(new Error('not found'), { code: 'ENOTFOUND' });
    return found;
  };
  return {
    questions,
    // Long texts come in strings of 255, as on the wire.
    resolveTxt: async (name) => (await records('TXT', name)).map((text) => text.match(/.{1,255}/gs) ?? ['']),
    resolveMx: async (name) =>
      (await records('MX', name)).map((mx) => ({
        priority: Number(mx.split(' ')[0]),
        exchange: mx.split(' ')[1] ?? '',
      })),
    resolve4: async (name) => records('A', name),
    resolve6: async (name) => records('AAAA', name),
    reverse: async (ip) => records('PTR', ip),
  };
}

/** Without a network: every question waits for ever. */
export const SILENT_DNS: DnsResolver = {
  resolveTxt: async () => new Promise(() => undefined),
  resolveMx: async () => new Promise(() => undefined),
  resolve4: async () => new Promise(() => undefined),
  resolve6: async () => new Promise(() => undefined),
  reverse: async () => new Promise(() => undefined),
};
