import { createHmac } from 'node:crypto';

/** What is counted, such as `ip:…` or `email:…`, as `rate_limit` may keep it: without the secret nobody reads it back. */
export function limitKey(secret: Buffer, what: string): string {
  return createHmac('sha256', secret).update(`rate-limit\0${what}`).digest('base64url');
}
