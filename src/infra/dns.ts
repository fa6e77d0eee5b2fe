import { Resolver } from 'node:dns/promises';

/** What is asked of the DNS; `Resolver` of node:dns/promises is one. */
export interface DnsResolver {
  resolveTxt(name: string): Promise<string[][]>;
  resolveMx(name: string): Promise<{ exchange: string; priority: number }[]>;
  resolve4(name: string): Promise<string[]>;
  resolve6(name: string): Promise<string[]>;
  reverse(ip: string): Promise<string[]>;
}

/** Injection token of the {@link DnsResolver}. */
export const DNS = Symbol('DNS');

export function systemDns(): DnsResolver {
  return new Resolver({ timeout: 2_000, tries: 2 });
}
