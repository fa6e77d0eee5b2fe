import type { RelayTrust } from '../../../config/relays.js';

/** The terms in which nodemailer takes it. */
export interface TlsOptions {
  secure: boolean;
  requireTLS: boolean;
  ignoreTLS: boolean;
  tls: { rejectUnauthorized: boolean; ca?: string };
}

/**
 * `smtps:` speaks TLS from the first byte; `smtp:` asks for STARTTLS and goes no further without it, so that nobody on the
 * way can talk us out of it. Only on this machine, or where the owner says `none`, is there none. Whoever names a CA wants it
 * asked, on this machine, too.
 */
export function tlsOptions(
  { hostname, protocol }: Pick<URL, 'hostname' | 'protocol'>,
  { tls, ca }: RelayTrust,
): TlsOptions {
  const secure = protocol === 'smtps:';
  const local = hostname === '127.0.0.1' || hostname === 'localhost' || hostname === '[::1]';
  const chosen = tls ?? (local && !secure && ca === null ? 'none' : 'required');
  return {
    secure,
    requireTLS: !secure && chosen !== 'none',
    ignoreTLS: chosen === 'none',
    tls: { rejectUnauthorized: chosen !== 'insecure', ...(ca === null ? {} : { ca }) },
  };
}
