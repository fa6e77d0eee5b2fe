import { randomBytes } from 'node:crypto';
import { Inject, Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import {
  RateLimits,
  type RateLimit,
  type RateLimitVerdict,
} from '../../infra/rate-limits/rate-limits.service.js';
import { isLoopback } from '../../tracking/hit-class.js';
import { addressBlock } from '../../values/address-block.js';
import type { EmailAddressParse } from '../../values/email-address.js';
import { decodeIds, verifyExpiring } from '../../values/signed-token.js';
import { LOGIN_PURPOSE, PartnerMails } from './partner-mails.service.js';
import { affiliateOf, affiliateOfSession, endSession, isOpenLogin, useLogin } from './partner.queries.js';
import { sha256 } from '../../values/sha256.js';
import { limitKey } from '../../infra/rate-limits/limit-key.js';

const SESSION_MS = 7 * 24 * 3_600_000;
const TOKEN_BYTES = 32;
const SESSION_TOKEN = /^[A-Za-z0-9_-]{43}$/;

const PER_BLOCK: RateLimit = { name: 'partner-block', points: 10, seconds: 900 };
/** Everybody comes from this machine where a proxy before us is not trusted. */
const PER_LOOPBACK: RateLimit = { name: 'partner-loopback', points: 100, seconds: 900 };
/** One mail in ten minutes and five a day: anybody may type the address of another. */
const PER_ADDRESS: readonly RateLimit[] = [
  { name: 'partner-pause', points: 1, seconds: 600 },
  { name: 'partner-day', points: 5, seconds: 86_400 },
];

/** The door of the affiliates' page: a link by mail that works once, and the session that it opens. */
@Injectable()
export class PartnerAccess implements OnModuleDestroy {
  readonly #log = new Logger('Partner');
  readonly #asked = new Set<Promise<void>>();

  constructor(
    private readonly dataSource: DataSource,
    private readonly mails: PartnerMails,
    private readonly limits: RateLimits,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Counts one more asking from this place. */
  async take(ip: string): Promise<RateLimitVerdict> {
    return this.limits.take(
      isLoopback(ip) ? PER_LOOPBACK : PER_BLOCK,
      limitKey(this.config.secretKey, `ip:${addressBlock(ip)}`),
    );
  }

  /**
   * Mails the link if an affiliate has the address. It is looked up after the answer: neither what is answered nor how fast
   * tells whether somebody has it.
   */
  ask(email: Extract<EmailAddressParse, { ok: true }>): void {
    const work = this.mail(email.key).catch((error: unknown) => {
      this.#log.error(`The link to an affiliate's page was not mailed: ${nameOf(error)}`);
    });
    this.#asked.add(work);
    void work.then(() => this.#asked.delete(work));
  }

  /** Resolves when everything that was asked for so far is done. */
  async settled(): Promise<void> {
    await Promise.all(this.#asked);
  }

  async onModuleDestroy(): Promise<void> {
    await this.settled();
  }

  /** Whether the link of a mail can be used now. Looking at it does not use it: gateways open what they pass on. */
  async isOpen(token: string): Promise<boolean> {
    const id = this.loginOf(token);
    return id !== null && isOpenLogin(this.dataSource.manager, id, this.clock.now());
  }

  /** Uses the link, once, and opens a session; null for one that is used, past its end or none of ours. */
  async enter(token: string): Promise<{ session: string; endsAt: Date } | null> {
    const id = this.loginOf(token);
    if (id === null) return null;
    const session = randomBytes(TOKEN_BYTES).toString('base64url');
    const now = this.clock.now();
    const endsAt = new Date(now.getTime() + SESSION_MS);
    const login = { id, now, sessionHash: sha256(session), endsAt };
    return (await useLogin(this.dataSource.manager, login)) ? { session, endsAt } : null;
  }

  /** The id of the affiliate whose session it is; null for none, an unknown one, or one that has ended. */
  async bySession(session: string | undefined): Promise<string | null> {
    if (session === undefined || !SESSION_TOKEN.test(session)) return null;
    return affiliateOfSession(this.dataSource.manager, sha256(session), this.clock.now());
  }

  async leave(session: string | undefined): Promise<void> {
    if (session !== undefined) await endSession(this.dataSource.manager, sha256(session), this.clock.now());
  }

  private async mail(emailKey: string): Promise<void> {
    for (const limit of PER_ADDRESS)
      if (!(await this.limits.take(limit, limitKey(this.config.secretKey, `email:${emailKey}`))).allowed)
        return;
    const affiliate = await affiliateOf(this.dataSource.manager, emailKey);
    if (affiliate !== null) await this.mails.sendLink({ ...affiliate, emailKey });
  }

  private loginOf(token: string): string | null {
    const read = verifyExpiring(this.config.secretKey, LOGIN_PURPOSE, token, this.clock.now());
    if (read === null || read === 'expired') return null;
    return decodeIds(read.payload, 1)?.[0] ?? null;
  }
}

/** The kind of an error: its message may hold an address. */
function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : 'unknown';
}
