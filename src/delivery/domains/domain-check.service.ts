import { domainOf } from '../../values/email-address.js';
import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { dkimDomain } from '../signing/dkim-keys.js';
import { DkimKeys } from '../signing/dkim-keys.service.js';
import { checkCertificate } from './certificate.js';
import { checkDomain } from './domain.probe.js';
import { DNS, type DnsResolver } from '../../infra/dns.js';
import { endedBy, unlessBlind } from './dns.probe.js';
import type { Finding } from './finding.js';
import type { RemoteHosts } from './remote-hosts.js';
import { remoteHosts } from './remote-hosts.transport.js';
import { checkReverse } from './reverse.probe.js';

/** For all questions to the DNS: without a network the check says so after this long. */
const TIME_LIMIT_MS = 10_000;

export interface DomainReport {
  /** Null for what concerns the installation: address, certificate. */
  domain: string | null;
  findings: Finding[];
}

export interface CheckedBy {
  /** The address mail leaves from, in place of SENDING_IP. */
  ip?: string | undefined;
  /** Instead of the application's own. */
  dns?: DnsResolver;
  /** Instead of the world itself. */
  remote?: RemoteHosts;
  /** Asks no mail server and fetches no logo: for somebody who waits. */
  quick?: boolean;
}

/** D1 to D9: what the world can see of the domains we send from. Changes nothing. */
@Injectable()
export class DomainCheckService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly keys: DkimKeys,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(DNS) private readonly dns: DnsResolver,
  ) {}

  /** The domains that funnels send from, and broadcasts that may still send. */
  async senderDomains(): Promise<string[]> {
    const rows: { email: string }[] = await this.dataSource.query(
      `select sender->>'email' as email from sequence
       union select sender->>'email' from broadcast where state not in ('done', 'cancelled')`,
    );
    return [...new Set(rows.map(({ email }) => dkimDomain(domainOf(email))))].sort();
  }

  async check(domains: readonly string[], given: CheckedBy = {}): Promise<DomainReport[]> {
    const { dns, remote = remoteHosts(), quick = false } = given;
    const ips = given.ip === undefined ? this.config.sendingIps : [given.ip];
    const signal = AbortSignal.timeout(TIME_LIMIT_MS);
    const limited = dns ? endedBy(dns, signal) : await unlessBlind(endedBy(this.dns, signal));
    const around = { remote: quick ? null : remote, now: this.clock.now() };
    const reports = domains.map(async (domain) => ({
      domain,
      findings: await checkDomain(
        limited,
        {
          from: domain,
          returnPath: this.config.bounceDomain ?? domain,
          keys: this.keys.signing(domain),
          ips,
        },
        around,
      ),
    }));
    const [ofInstallation, ...ofDomains] = await Promise.all([
      this.ofInstallation(limited, remote, ips),
      ...reports,
    ]);
    return [...ofDomains, { domain: null, findings: ofInstallation }];
  }

  private async ofInstallation(
    dns: DnsResolver,
    remote: RemoteHosts,
    ips: readonly string[],
  ): Promise<Finding[]> {
    const { baseUrl } = this.config;
    const reverse = Promise.all(ips.map(async (ip) => checkReverse(dns, ip)));
    const seen = baseUrl.startsWith('https://') ? await remote.certificate(new URL(baseUrl)) : null;
    return [...(await reverse), checkCertificate(baseUrl, seen, this.clock.now())];
  }
}
