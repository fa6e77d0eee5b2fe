import { createHmac } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { ProcessLimits } from '../infra/rate-limits/process-limits.js';
import { RateLimits, type RateLimit } from '../infra/rate-limits/rate-limits.service.js';
import { isLoopback } from '../tracking/hit-class.js';
import { addressBlock } from '../values/address-block.js';
import { mailboxOf } from '../values/mailbox.js';

/** A household or an office shares an address block; a list bomber sends far more than this. */
const PER_BLOCK: RateLimit = { name: 'signup-block', points: 30, seconds: 600 };
const PER_LOOPBACK: RateLimit = { name: 'signup-loopback', points: 1_000, seconds: 600 };
/** A mailbox has any number of spellings, and each is somebody of its own who may be asked to confirm. */
const PER_ADDRESS: readonly RateLimit[] = [
  { name: 'signup-address', points: 5, seconds: 3_600 },
  { name: 'signup-address-day', points: 10, seconds: 86_400 },
];
/** Who sends the form without having loaded it is most likely a program: welcome, and counted more. */
const WITHOUT_TOKEN_WEIGHT = 3;

export interface Attempt {
  ip: string;
  emailKey: string;
  /** The form came with the token it was handed out with, not older than a day. */
  hasToken: boolean;
}

/** `block`: too many from this place; `address`: this mailbox has been asked often enough. */
type SignupVerdict = { kind: 'ok' } | { kind: 'block'; retryAfterSeconds: number } | { kind: 'address' };

/** Counts sign-ups per mailbox and per block of network addresses. */
@Injectable()
export class SignupLimits {
  readonly #here: ProcessLimits;

  constructor(
    private readonly limits: RateLimits,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) clock: Clock,
  ) {
    this.#here = new ProcessLimits(clock);
  }

  /** Counts one more. */
  async take(attempt: Attempt): Promise<SignupVerdict> {
    return this.takeOf(this.limits, attempt);
  }

  /** As `take`, while the database does not count: this process does, by itself. */
  async takeHere(attempt: Attempt): Promise<SignupVerdict> {
    return this.takeOf(this.#here, attempt);
  }

  /** One that `take` counted came to nothing: else who tries again would soon be told that a mail comes. */
  async giveBack(attempt: Attempt): Promise<void> {
    for (const limit of PER_ADDRESS) await this.limits.take(limit, this.keyOf(attempt), -1);
  }

  /** As `giveBack`, of `takeHere`. */
  async giveBackHere(attempt: Attempt): Promise<void> {
    for (const limit of PER_ADDRESS) await this.#here.take(limit, this.keyOf(attempt), -1);
  }

  private async takeOf(limits: Pick<RateLimits, 'take'>, attempt: Attempt): Promise<SignupVerdict> {
    const { ip, hasToken } = attempt;
    const loopback = isLoopback(ip);
    const weight = hasToken || loopback ? 1 : WITHOUT_TOKEN_WEIGHT;
    const place = await limits.take(loopback ? PER_LOOPBACK : PER_BLOCK, addressBlock(ip), weight);
    if (!place.allowed) return { kind: 'block', retryAfterSeconds: place.retryAfterSeconds };
    for (const limit of PER_ADDRESS) {
      const asked = await limits.take(limit, this.keyOf(attempt));
      if (asked.allowed) continue;
      // Nobody has asked for it: they must not be told that a mail comes.
      return 'isFull' in asked
        ? { kind: 'block', retryAfterSeconds: asked.retryAfterSeconds }
        : { kind: 'address' };
    }
    return { kind: 'ok' };
  }

  private keyOf({ ip, emailKey }: Attempt): string {
    // Every spelling of an address that reaches one mailbox, but for whoever tries things out at home.
    const mailbox = isLoopback(ip) && this.config.mailboxOn ? emailKey : mailboxOf(emailKey);
    return createHmac('sha256', this.config.secretKey).update(`limit\0${mailbox}`).digest('hex');
  }
}
