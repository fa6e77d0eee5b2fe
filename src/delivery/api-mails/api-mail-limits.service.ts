import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { CONFIG, type Config } from '../../infra/config.js';
import { limitKey } from '../../infra/rate-limits/limit-key.js';
import { RateLimits, type RateLimit } from '../../infra/rate-limits/rate-limits.service.js';
import { DomainError } from '../../values/domain-error.js';
import { mailboxOf } from '../../values/mailbox.js';

/** A loop that does not end is stopped; a shop on its best day is not. */
export const PER_KEY: RateLimit = { name: 'api-mail-key', points: 1_000, seconds: 60 };
/** Links to log in, receipts and news of a parcel; nobody reads more. */
export const PER_MAILBOX: RateLimit = { name: 'api-mail-mailbox', points: 60, seconds: 3_600 };

/** Counts the mails that programs ask for: they go before all others, so one program could hold up everything. */
@Injectable()
export class ApiMailLimits {
  constructor(
    private readonly limits: RateLimits,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Counts one more request of a program, whatever becomes of it. Throws `MESSAGE_RATE_LIMITED`. */
  async takeOfKey(apiKeyId: string): Promise<void> {
    await this.takeOf(PER_KEY, apiKeyId, 'requests of one API key a minute');
  }

  /** Counts one more mail in the transaction that plans it: one that is refused, or was planned before, is none. Throws as above. */
  async takeOfMailbox(manager: EntityManager, emailKey: string): Promise<void> {
    const mailbox = limitKey(this.config.secretKey, `api-mail:${mailboxOf(emailKey)}`);
    await this.takeOf(PER_MAILBOX, mailbox, 'mails to one mailbox an hour', manager);
  }

  private async takeOf(limit: RateLimit, key: string, what: string, db?: EntityManager): Promise<void> {
    const verdict = await this.limits.take(limit, key, 1, db);
    if (verdict.allowed) return;
    const { retryAfterSeconds } = verdict;
    throw new DomainError('MESSAGE_RATE_LIMITED', `${limit.points} ${what} are the most`, {
      retryAfterSeconds,
    });
  }
}
