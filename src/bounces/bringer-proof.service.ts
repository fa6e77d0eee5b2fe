import { isIP } from 'node:net';
import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, relaysOf, type Config } from '../infra/config.js';
import { DNS, type DnsResolver } from '../infra/dns.js';
import { domainOf } from '../values/email-address.js';
import { sameOrganisation } from './complaint-reporter.js';
import { parseHeaderBlock } from './header-block.js';
import { broughtBy, isMadeFromAddress, namesOfRelay, plainIp } from './mail-path.js';

/** A mail as it came in, beside what it says. */
export interface Brought {
  raw: Uint8Array;
  /** Who brought it to the listener; null where it was read from a mailbox. */
  client: string | null;
  /** MAIL FROM, empty for `<>`; null where only the mail itself tells. */
  sender: string | null;
}

const HEAD_BYTES = 64 * 1024;
const MAX_NAMES = 5;
const MAX_HOSTS = 10;
/** In all: the other server waits for its answer. */
const DNS_MS = 10_000;
const THIS_MACHINE = ['127.0.0.1', '::1'];

/**
 * Whether a report of a dead address comes from where a true one would: from our relay, or from the servers of the
 * address's domain. Whoever was passed one of our mails as a file has its return path, and may write a report that reads
 * like any server's; what they cannot do is send it from there with an empty sender, which no provider lets its
 * customers have. Asks the DNS.
 *
 * Not known to be true is not known to be forged: the mailboxes of some domains stand where nothing in the DNS says so.
 * `BouncesService` counts such a report, and believes it when a second mail comes back.
 */
@Injectable()
export class BringerProof {
  constructor(
    @Inject(DNS) private readonly dns: DnsResolver,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** `address`: whom the mail that the report is about went to. When the DNS does not answer, nobody vouches. */
  async vouchesFor(address: string, { raw, client, sender }: Brought): Promise<boolean> {
    const headers = parseHeaderBlock(new TextDecoder().decode(raw.subarray(0, HEAD_BYTES)));
    const paths = sender === null ? (headers.get('return-path') ?? []) : [`<${sender}>`];
    const nobody = paths.every((path) => /^<\s*>$|mailer-daemon/i.test(path));
    const ours = await this.ourAddresses();
    const from = broughtBy({ received: headers.get('received') ?? [], client }, ours);
    // Our relay, or the server of the mailbox, which lets its other users name a sender.
    if (from.length === 0) return client !== null || nobody;
    if (!nobody || paths.length === 0) return false;
    const late = timeout(DNS_MS);
    const known = Promise.all(from.map(async (ip) => this.writesFor(ip, domainOf(address))));
    const proven = await Promise.race([known, late.promise]).catch(() => null);
    late.end();
    return proven !== null && proven.every(Boolean);
  }

  /** Of the relays, as the listener sees them and as the world does. */
  private async ourAddresses(): Promise<ReadonlySet<string>> {
    const late = timeout(DNS_MS);
    const found = await Promise.race([
      Promise.all(this.relayHosts().map(async (host) => this.addressesOf(host))),
      late.promise,
    ]);
    late.end();
    return new Set([...this.config.sendingIps, ...(found ?? []).flat()].map(plainIp));
  }

  private relayHosts(): string[] {
    return relaysOf(this.config).map(({ url }) => new URL(url).hostname.replace(/^\[(.*)\]$/, '$1'));
  }

  /** Whether the host at `ip` is one of the relay's or one that writes for the domain. */
  private async writesFor(ip: string, domain: string): Promise<boolean> {
    const mx = (await this.dns.resolveMx(domain).catch(() => [])).slice(0, MAX_HOSTS);
    const hosts = mx.length > 0 ? mx.map(({ exchange }) => exchange) : [domain];
    const known = [domain, ...hosts, ...this.relayHosts().flatMap(namesOfRelay)];
    const proofs = [this.isHost(ip, hosts), this.isNamed(ip, known), this.isInSpf(ip, domain)];
    return (await Promise.all(proofs)).some(Boolean);
  }

  private async isHost(ip: string, hosts: readonly string[]): Promise<boolean> {
    const found = await Promise.all(hosts.map(async (host) => this.addressesOf(host)));
    return found.flat().some((one) => plainIp(one) === ip);
  }

  /** By its own name, which must lead back to it. */
  private async isNamed(ip: string, domains: readonly string[]): Promise<boolean> {
    const names = (await this.dns.reverse(ip).catch(() => []))
      .slice(0, MAX_NAMES)
      .filter((name) => !isMadeFromAddress(name, ip))
      .filter((name) => domains.some((domain) => sameOrganisation(name, domain)));
    return this.isHost(ip, names);
  }

  /** A domain that lets everybody write in its name vouches for nobody. */
  private async isInSpf(ip: string, domain: string): Promise<boolean> {
    const { spf } = await import('mailauth/lib/spf/index.js');
    const { status, rr } = await spf({
      ...{ ip, sender: `postmaster@${domain}`, helo: domain },
      // Its types know of no MX.
      resolver: async (name, type) => (await this.resolve(name, type)) as string[],
    });
    return status.result === 'pass' && !/\s\+?all\b/i.test(rr ?? '');
  }

  private async resolve(name: string, type: string): Promise<unknown[]> {
    switch (type) {
      case 'TXT':
        return this.dns.resolveTxt(name);
      case 'MX':
        return this.dns.resolveMx(name);
      case 'A':
        return this.dns.resolve4(name);
      case 'AAAA':
        return this.dns.resolve6(name);
      default:
        // A name by PTR is looked at above.
        return [];
    }
  }

  private async addressesOf(host: string): Promise<string[]> {
    if (isIP(host) !== 0) return [host];
    if (host === 'localhost') return THIS_MACHINE;
    const none = (): string[] => [];
    const found = [this.dns.resolve4(host).catch(none), this.dns.resolve6(host).catch(none)];
    return (await Promise.all(found)).flat();
  }
}

function timeout(ms: number): { promise: Promise<null>; end: () => void } {
  let timer: NodeJS.Timeout | undefined;
  const promise = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), ms).unref();
  });
  return { promise, end: () => clearTimeout(timer) };
}
