import { createHmac } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../infra/config.js';
import {
  RateLimits,
  type RateLimit,
  type RateLimitVerdict,
} from '../infra/rate-limits/rate-limits.service.js';
import { isLoopback } from '../tracking/hit-class.js';
import { addressBlock } from '../values/address-block.js';
import { mailboxOf } from '../values/mailbox.js';

/** An office or a carrier shares an address block, and on the day of a launch many order at once; a program sends more. */
const PER_BLOCK: RateLimit = { name: 'checkout-block', points: 300, seconds: 600 };
/** Everybody comes from this machine where a proxy before us is not trusted. */
const PER_LOOPBACK: RateLimit = { name: 'checkout-loopback', points: 3_000, seconds: 600 };
/** A paid order sends its receipt to the address, whoever typed it. */
const PER_MAILBOX_HERE: RateLimit = { name: 'checkout-mailbox-here', points: 10, seconds: 3_600 };
/** From wherever: wider, since whoever spends it keeps the mailbox's owner from ordering. */
const PER_MAILBOX: RateLimit = { name: 'checkout-mailbox', points: 60, seconds: 3_600 };

/** Keeps the checkout from mailing strangers: counts orders per mailbox and per block of network addresses. */
@Injectable()
export class CheckoutLimits {
  constructor(
    private readonly limits: RateLimits,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Counts one more; none of somebody at home with the built-in mailbox, whose mails reach nobody. */
  async take({ ip, emailKey }: { ip: string; emailKey: string }): Promise<RateLimitVerdict> {
    const loopback = isLoopback(ip);
    if (loopback && this.config.mailboxOn) return { allowed: true };
    const place = await this.limits.take(loopback ? PER_LOOPBACK : PER_BLOCK, addressBlock(ip));
    if (!place.allowed) return place;
    const mailbox = mailboxOf(emailKey);
    const here = await this.limits.take(PER_MAILBOX_HERE, this.hash(`${mailbox}\0${addressBlock(ip)}`));
    return here.allowed ? this.limits.take(PER_MAILBOX, this.hash(mailbox)) : here;
  }

  private hash(text: string): string {
    return createHmac('sha256', this.config.secretKey).update(`limit\0${text}`).digest('hex');
  }
}
