import { hmacSha256 } from '../../values/hmac.js';

/** Minutes until the next try after each that failed: a little over two days in all. */
const RETRY_MINUTES = [1, 5, 30, 120, 300, 600, 840, 1200];

/** Null when it is time to give up. `attempt` counts from 1. */
export function webhookRetryMinutes(attempt: number): number | null {
  return RETRY_MINUTES[attempt - 1] ?? null;
}

/** The key that receivers check signatures with, derived so that it is nowhere stored. 32 bytes. */
function webhookKey(secretKey: Buffer): Buffer {
  return hmacSha256(secretKey, 'webhook signatures');
}

/** As receivers' libraries take it (Standard Webhooks). */
export function webhookKeyText(secretKey: Buffer): string {
  return `whsec_${webhookKey(secretKey).toString('base64')}`;
}

/**
 * The headers of Standard Webhooks: a receiver refuses what does not carry the signature, is minutes old or has an id it
 * has seen. The signature is of this very try, the id of the delivery.
 */
export function webhookHeaders(
  secretKey: Buffer,
  { id, at, body }: { id: string; at: Date; body: string },
): Record<string, string> {
  const timestamp = String(Math.floor(at.getTime() / 1000));
  const signature = hmacSha256(webhookKey(secretKey), `${id}.${timestamp}.${body}`).toString('base64');
  return {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': `v1,${signature}`,
  };
}
