import type { EnvConfig } from '../../config/env.js';
import type { RelaySettings } from '../../config/relays.js';

/** Injection token of {@link Config}. */
export const CONFIG = Symbol('Config');

/** What `main` knows after the start-up: the environment with every gap filled. */
export interface Config extends Omit<EnvConfig, 'databaseUrl' | 'secretKey'> {
  databaseUrl: string;
  /** 32 bytes; every token and hash of an address hangs on it. */
  secretKey: Buffer;
  /** The first relay, or the built-in mailbox's loopback address. */
  smtpUrl: string;
}

/** The relays that mail leaves by. Where none is named it is the built-in mailbox, by itself. */
export function relaysOf({ relays, smtpUrl }: Pick<Config, 'relays' | 'smtpUrl'>): readonly RelaySettings[] {
  if (relays.length > 0) return relays;
  const name = new URL(smtpUrl).hostname;
  return [{ name, url: smtpUrl, weight: 1, lanes: null, provider: null, tls: null, ca: null }];
}
