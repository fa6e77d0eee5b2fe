import { randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { hash, verify } from '@node-rs/argon2';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { RateLimits, type RateLimit } from '../../infra/rate-limits/rate-limits.service.js';
import { addressBlock } from '../../values/address-block.js';
import type { EmailAddressParse } from '../../values/email-address.js';
import type { Owner } from './owner-of-request.js';
import { sha256 } from '../../values/sha256.js';
import { limitKey } from '../../infra/rate-limits/limit-key.js';

interface Credentials {
  email: Extract<EmailAddressParse, { ok: true }>;
  password: string;
}

/** A session's token is shown to the browser once and kept here as its hash: a stolen backup opens no session. */
export interface OpenedSession {
  token: string;
  expiresAt: Date;
}

interface LoginPlace {
  ip: string;
  /** Of a browser that has signed in here before; null for any other. */
  browserId: string | null;
}

type LoginOutcome =
  | { kind: 'signed_in'; session: OpenedSession }
  | { kind: 'wrong' }
  | { kind: 'limited'; retryAfterSeconds: number };

const SESSION_MS = 30 * 24 * 3_600_000;
const TOKEN_BYTES = 32;
const TOKEN = /^[A-Za-z0-9_-]{43}$/;

/** OWASP's second choice of parameters for argon2id: 19 MiB, two passes. */
const ARGON2 = { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const;

/**
 * Ten wrong guesses from one place in a quarter of an hour; fifty an hour against one account, from wherever. A browser
 * that has signed in before is counted by itself, so that the guesses of others do not shut the owner out.
 */
const TRIES_PER_PLACE: RateLimit = { name: 'login-place', points: 10, seconds: 900 };
const TRIES_PER_ACCOUNT: RateLimit = { name: 'login-account', points: 50, seconds: 3600 };
const TRIES_PER_BROWSER: RateLimit = { name: 'login-browser', points: 10, seconds: 900 };

/** The one account of the installation and its sessions. The only writer of `owner` and `owner_session`. */
@Injectable()
export class OwnerService {
  /** Verified against when nobody has the address, so that the time of the answer does not tell. */
  private decoy: Promise<string> | null = null;

  constructor(
    private readonly dataSource: DataSource,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(CONFIG) private readonly config: Config,
    private readonly limits: RateLimits,
  ) {}

  async exists(): Promise<boolean> {
    const rows: unknown[] = await this.dataSource.query(`select 1 from owner limit 1`);
    return rows.length > 0;
  }

  /** Null when there is an owner already: two first runs at once make one account. */
  async createFirst({ email, password }: Credentials): Promise<OpenedSession | null> {
    const passwordHash = await hash(password, ARGON2);
    const ownerId = await this.dataSource.transaction(async (manager): Promise<string | undefined> => {
      // Holds back every other writer until we commit, readers not: "none exists" stays true while we insert.
      await manager.query(`lock table owner in share row exclusive mode`);
      const rows: { id: string }[] = await manager.query(
        `insert into owner (email, email_key, password_hash, created_at)
         select $1, $2, $3, $4 where not exists (select 1 from owner) returning id`,
        [email.address, email.key, passwordHash, this.clock.now()],
      );
      return rows[0]?.id;
    });
    return ownerId === undefined ? null : this.open(ownerId);
  }

  /** Where the try comes from is kept as a keyed hash only. */
  async login({ email, password }: Credentials, from: LoginPlace): Promise<LoginOutcome> {
    const tries = this.triesOf(email.key, from);
    const retryAfterSeconds = await this.tooMany(tries);
    if (retryAfterSeconds !== null) return { kind: 'limited', retryAfterSeconds };
    const rows: { id: string; passwordHash: string }[] = await this.dataSource.query(
      `select id, password_hash as "passwordHash" from owner where email_key = $1`,
      [email.key],
    );
    const owner = rows[0];
    this.decoy ??= hash(randomBytes(TOKEN_BYTES), ARGON2);
    const fits = await verify(owner?.passwordHash ?? (await this.decoy), password);
    if (!owner || !fits) return { kind: 'wrong' };
    for (const [limit, key] of tries) await this.limits.clear(limit, key);
    return { kind: 'signed_in', session: await this.open(owner.id) };
  }

  /** Who holds this session; null for none, an unknown one, or one that has ended. */
  async bySession(token: string | undefined): Promise<Owner | null> {
    if (token === undefined || !TOKEN.test(token)) return null;
    const rows: Owner[] = await this.dataSource.query(
      `select o.id, o.email, s.created_at as "signedInAt" from owner_session s join owner o on o.id = s.owner_id
        where s.token_hash = $1 and s.expires_at > $2`,
      [sha256(token), this.clock.now()],
    );
    return rows[0] ?? null;
  }

  async logout(token: string | undefined): Promise<void> {
    if (token === undefined) return;
    await this.dataSource.query(`delete from owner_session where token_hash = $1`, [sha256(token)]);
  }

  private async open(ownerId: string): Promise<OpenedSession> {
    const token = randomBytes(TOKEN_BYTES).toString('base64url');
    const now = this.clock.now();
    const expiresAt = new Date(now.getTime() + SESSION_MS);
    await this.dataSource.query(`delete from owner_session where expires_at <= $1`, [now]);
    await this.dataSource.query(
      `insert into owner_session (token_hash, owner_id, created_at, expires_at) values ($1, $2, $3, $4)`,
      [sha256(token), ownerId, now, expiresAt],
    );
    return { token, expiresAt };
  }

  private triesOf(emailKey: string, { ip, browserId }: LoginPlace): [RateLimit, string][] {
    if (browserId !== null) return [[TRIES_PER_BROWSER, browserId]];
    return [
      [TRIES_PER_PLACE, limitKey(this.config.secretKey, `ip:${addressBlock(ip)}`)],
      [TRIES_PER_ACCOUNT, limitKey(this.config.secretKey, `email:${emailKey}`)],
    ];
  }

  /** Counted before the password is looked at, so that tries at the same moment cannot slip past the limit. */
  private async tooMany(tries: readonly [RateLimit, string][]): Promise<number | null> {
    for (const [limit, key] of tries) {
      const verdict = await this.limits.take(limit, key);
      if (!verdict.allowed) return verdict.retryAfterSeconds;
    }
    return null;
  }
}
