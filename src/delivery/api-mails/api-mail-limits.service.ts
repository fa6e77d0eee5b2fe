import { Inject, Injectable } from '@nestjs/common';
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

  /** Counts one more. Throws `MESSAGE_RATE_LIMITED`. */
  async take({ apiKeyId, emailKey }: { apiKeyId: string; emailKey: string }): Promise<void> {
    const mailbox = limitKey(this.config.secretKey, `api-mail:${mailboxOf(emailKey)}`);
    await this.takeOf(PER_KEY, apiKeyId, 'of one API key a minute');
    await this.takeOf(PER_MAILBOX, mailbox, 'to one mailbox an hour');
  }

  private async takeOf(limit: RateLimit, key: string, what: string): Promise<void> {
    const verdict = await this.limits.take(limit, key);
    if (verdict.allowed) return;
    const { retryAfterSeconds } = verdict;
    throw new DomainError('MESSAGE_RATE_LIMITED', `${limit.points} mails ${what} are the most`, {
      retryAfterSeconds,
    });
  }
}
