import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { AlertsService } from '../../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { Remembered } from '../../infra/remembered.js';
import { DomainError } from '../../values/domain-error.js';
import { alignedDomains, dkimDomain } from './dkim-keys.js';
import { DkimKeys } from './dkim-keys.service.js';
import { DKIM_ALERT } from '../message/message.js';

/** How late a worker may learn that another one has begun to sign. */
const CACHE_MS = 5_000;
/** A missing key is met by every mail; saying so this often is enough. */
const REPORT_EVERY_MS = 30_000;
const EXPOSED = 'dkim-exposed';

/**
 * Which domains' mail is signed, whoever has the key. Kept in the database without a private half, so that a worker
 * without keys refuses to send where it would otherwise send unsigned. The only writer of `signed_domain`.
 */
@Injectable()
export class SignedDomains implements OnModuleInit {
  /** Announced before this process started: had it been given the key, it would have read it. */
  #atStart: ReadonlySet<string> = new Set();
  readonly #known = new Remembered(async () => this.announced(), CACHE_MS);
  readonly #reportedAtMs = new Map<string, number>();

  constructor(
    private readonly dataSource: DataSource,
    private readonly keys: DkimKeys,
    private readonly alerts: AlertsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async onModuleInit(): Promise<void> {
    this.#atStart = new Set((await this.rows()).map(({ domain }) => domain));
  }

  /** The domain, at the sender's or above it, whose key has to sign; null when mail of this sender may leave unsigned. */
  async signedAbove(senderDomain: string): Promise<string | null> {
    const domains = await this.#known.get();
    if (domains.size === 0) return null;
    return alignedDomains(senderDomain).find((domain) => domains.has(domain)) ?? null;
  }

  /** Raises the alert `dkim:<domain>`: this worker lacks the key. */
  async reportMissingKey(domain: string): Promise<void> {
    const nowMs = performance.now();
    if (nowMs - (this.#reportedAtMs.get(domain) ?? Number.NEGATIVE_INFINITY) < REPORT_EVERY_MS) return;
    this.#reportedAtMs.set(domain, nowMs);
    await this.alerts.raise({
      key: DKIM_ALERT + domain,
      severity: 'critical',
      message: `Mail from ${domain} waits: it is signed with DKIM, and a worker has no key for it. ${remedy(domain)}`,
      facts: { domain },
    });
  }

  /**
   * A key was made. Workers that run already go on without it, as they read keys at their start; from the next start on
   * its mail is signed or waits. Throws `DKIM_DOMAIN_INVALID`.
   */
  async announce(domain: string): Promise<void> {
    await this.dataSource.query(
      `insert into signed_domain (domain, created_at) values ($1, $2) on conflict (domain) do nothing`,
      [dkimDomain(domain), this.clock.now()],
    );
  }

  /** Mail of these domains is signed from now on, by every worker. */
  async noteSigned(domains: readonly string[]): Promise<void> {
    if (domains.length === 0) return;
    await this.dataSource.query(
      `insert into signed_domain (domain, created_at, signing_since) select d, $2, $2 from unnest($1::text[]) d
       on conflict (domain) do update set signing_since = coalesce(signed_domain.signing_since, excluded.signing_since)`,
      [[...new Set(domains)].sort(), this.clock.now()],
    );
  }

  /** As a worker starts: its keys sign from now on. A key that other accounts may read is reported. */
  async noteKeys(): Promise<void> {
    await this.noteSigned(this.keys.domains());
    const exposed = this.keys.exposed();
    if (exposed.length === 0) return this.alerts.resolve(EXPOSED);
    await this.alerts.raise({
      key: EXPOSED,
      severity: 'warning',
      message: `Other accounts of this machine may read a DKIM key, and sign with it: chmod 600 ${exposed.join(' ')}`,
      facts: { paths: exposed },
    });
  }

  /**
   * Nobody has the key any more, and mail of the domain may leave unsigned. False when it was not signed. Throws
   * `DKIM_KEY_EXISTS` while there is a key here, with which the next start would sign again.
   */
  async forget(given: string): Promise<boolean> {
    const domain = dkimDomain(given);
    if (this.keys.domains().includes(domain))
      throw new DomainError('DKIM_KEY_EXISTS', `DATA_DIR/dkim/${domain} still has a key; move it away first`);
    const rows: unknown = await this.dataSource.query('delete from signed_domain where domain = $1', [
      domain,
    ]);
    this.#known.forget();
    await this.alerts.resolve(DKIM_ALERT + domain);
    return Array.isArray(rows) && rows[1] === 1;
  }

  /** For `doctor`: what there is, in words. Throws for a key that is missing here or that others may read. */
  async checkKeys(): Promise<string> {
    const exposed = this.keys.exposed();
    if (exposed.length > 0) throw new Error(`other accounts may read a key: chmod 600 ${exposed.join(' ')}`);
    const here = this.keys.domains();
    const missing = (await this.rows()).find(({ domain }) => !here.includes(domain))?.domain;
    if (missing !== undefined)
      throw new Error(`mail of ${missing} is signed, and its key is not here. ${remedy(missing)}`);
    return here.length === 0 ? 'none (wellspring dkim create makes one)' : here.join(', ');
  }

  private async announced(): Promise<ReadonlySet<string>> {
    const signed = (await this.rows()).filter(({ domain, signing }) => signing || this.#atStart.has(domain));
    return new Set(signed.map(({ domain }) => domain));
  }

  private async rows(): Promise<{ domain: string; signing: boolean }[]> {
    return this.dataSource.query(
      'select domain, signing_since is not null as signing from signed_domain order by domain',
    );
  }
}

function remedy(domain: string): string {
  return `Put DATA_DIR/dkim/${domain} back and start it anew, or run "wellspring dkim forget ${domain}" to send unsigned.`;
}
