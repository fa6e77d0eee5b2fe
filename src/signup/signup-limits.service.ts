import { createHmac } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible';
import { DataSource } from 'typeorm';
import { CONFIG, type Config } from '../infra/config.js';
import { isLoopback } from '../tracking/hit-class.js';

/** A household or an office shares an address block; a list bomber sends far more than this. */
const PER_BLOCK = { points: 30, duration: 600 };
const PER_LOOPBACK = { points: 1_000, duration: 600 };
const PER_ADDRESS = { points: 5, duration: 3_600 };
/** Who sends the form without having loaded it is most likely a program: welcome, and counted more. */
const WITHOUT_TOKEN_WEIGHT = 3;

export interface Attempt {
  ip: string;
  emailKey: string;
  /** The form came with the token it was handed out with, not older than a day. */
  hasToken: boolean;
}

/** Counts sign-ups per address and per block of network addresses, in the database, so that all processes count together. */
@Injectable()
export class SignupLimits {
  readonly #perBlock: RateLimiterPostgres;
  readonly #perLoopback: RateLimiterPostgres;
  readonly #perAddress: RateLimiterPostgres;

  constructor(
    dataSource: DataSource,
    @Inject(CONFIG) private readonly config: Config,
  ) {
    const store = {
      storeClient: dataSource,
      storeType: 'typeorm',
      tableName: 'rate_limit',
      tableCreated: true,
    };
    this.#perBlock = new RateLimiterPostgres({ ...store, ...PER_BLOCK, keyPrefix: 'signup-block' });
    this.#perLoopback = new RateLimiterPostgres({ ...store, ...PER_LOOPBACK, keyPrefix: 'signup-loopback' });
    this.#perAddress = new RateLimiterPostgres({ ...store, ...PER_ADDRESS, keyPrefix: 'signup-address' });
  }

  /** Counts one more. `block`: too many from this place; `address`: this address has been asked often enough. */
  async take({ ip, emailKey, hasToken }: Attempt): Promise<'ok' | 'block' | 'address'> {
    const loopback = isLoopback(ip);
    const weight = hasToken || loopback ? 1 : WITHOUT_TOKEN_WEIGHT;
    if (!(await consume(loopback ? this.#perLoopback : this.#perBlock, addressBlock(ip), weight)))
      return 'block';
    const hash = createHmac('sha256', this.config.secretKey).update(`limit\0${emailKey}`).digest('hex');
    return (await consume(this.#perAddress, hash, 1)) ? 'ok' : 'address';
  }
}

async function consume(limiter: RateLimiterPostgres, key: string, points: number): Promise<boolean> {
  try {
    await limiter.consume(key, points);
    return true;
  } catch (refusal) {
    if (refusal instanceof RateLimiterRes) return false;
    throw refusal;
  }
}

/** A /24 of IPv4, a /64 of IPv6: what one customer of a provider usually holds. */
export function addressBlock(ip: string): string {
  const plain = ip.replace(/^::ffff:(?=\d+\.)/, '');
  if (plain.includes('.')) return plain.split('.').slice(0, 3).join('.');
  const [head = '', tail = ''] = plain.split('::');
  const left = head.split(':').filter(Boolean);
  const right = tail.split(':').filter(Boolean);
  const zeros = plain.includes('::')
    ? Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => '0')
    : [];
  return [...left, ...zeros, ...right].slice(0, 4).join(':');
}
