import type { Config as EnvConfig } from '../../config/env.js';

/** Injection token of {@link Config}. */
export const CONFIG = Symbol('Config');

/** What `main` knows after the start-up: the environment with every gap filled. */
export interface Config extends Omit<EnvConfig, 'databaseUrl' | 'secretKey' | 'smtpUrl'> {
  databaseUrl: string;
  /** 32 bytes; every token and hash of an address hangs on it. */
  secretKey: Buffer;
  /** The relay, or the built-in mailbox's loopback address. */
  smtpUrl: string;
}
