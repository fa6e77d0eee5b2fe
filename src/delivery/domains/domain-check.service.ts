import { isIP } from 'node:net';
import { connect } from 'node:tls';
import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { dkimDomain } from '../dkim-keys.js';
import { DkimKeys } from '../dkim-keys.service.js';
import { checkCertificate, type CertificateSeen } from './certificate.js';
import { checkDomain, checkReverse } from './domain-check.js';
import { DNS, type DnsResolver } from '../../infra/dns.js';
import { endedBy, unlessBlind } from './dns.js';
import type { Finding } from './finding.js';

/** For the whole check: without a network it says so after this long. */
const TIME_LIMIT_MS = 10_000;
const HTTPS_TIMEOUT_MS = 5_000;

export interface DomainReport {
  /** Null for what concerns the installation: address, certificate. */
  domain: string | null;
  findings: Finding[];
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

  /** The domains that funnels and broadcasts send from. */
  async senderDomains(): Promise<string[]> {
    const rows: { email: string }[] = await this.dataSource.query(
      `select distinct sender->>'email' as email from sequence union select distinct sender->>'email' from broadcast`,
    );
    return [...new Set(rows.map(({ email }) => dkimDomain(email.slice(email.lastIndexOf('@') + 1))))].sort();
  }

  /** `ip`: the address mail leaves from, when the owner knows it. `dns`: instead of the application's own. */
  async check(
    domains: readonly string[],
    { ip, dns }: { ip?: string | undefined; dns?: DnsResolver } = {},
  ): Promise<DomainReport[]> {
    const signal = AbortSignal.timeout(TIME_LIMIT_MS);
    const limited = dns ? endedBy(dns, signal) : await unlessBlind(endedBy(this.dns, signal));
    const reports = domains.map(async (domain) => ({
      domain,
      findings: await checkDomain(limited, {
        from: domain,
        returnPath: this.config.bounceDomain ?? domain,
        keys: this.keys.signing(domain),
      }),
    }));
    const [ofInstallation, ...ofDomains] = await Promise.all([this.ofInstallation(limited, ip), ...reports]);
    return [...ofDomains, { domain: null, findings: ofInstallation }];
  }

  private async ofInstallation(dns: DnsResolver, ip: string | undefined): Promise<Finding[]> {
    const { baseUrl } = this.config;
    const seen = baseUrl.startsWith('https://') ? await certificateOf(new URL(baseUrl)) : null;
    const certificate = checkCertificate(baseUrl, seen, this.clock.now());
    return ip === undefined ? [certificate] : [await checkReverse(dns, ip), certificate];
  }
}

/** Looks at the certificate of a host as a browser would, for five seconds at most. */
export async function certificateOf({ hostname, port }: URL): Promise<CertificateSeen> {
  return new Promise((resolve) => {
    const host = hostname.replace(/^\[|\]$/g, '');
    // Judged afterwards, so that a bad one can be described.
    const named = isIP(host) === 0 ? { servername: host } : {};
    const socket = connect({ host, port: Number(port) || 443, ...named, rejectUnauthorized: false });
    const end = (seen: CertificateSeen): void => {
      socket.destroy();
      resolve(seen);
    };
    socket.setTimeout(HTTPS_TIMEOUT_MS, () => end({ kind: 'unreached', reason: 'no answer within 5 s' }));
    socket.once('error', ({ message }) => end({ kind: 'unreached', reason: message }));
    socket.once('secureConnect', () => {
      const error = socket.authorized ? null : String(socket.authorizationError);
      end({ kind: 'seen', error, validUntil: new Date(socket.getPeerCertificate().valid_to) });
    });
  });
}
