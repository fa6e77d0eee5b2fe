import { createHmac, timingSafeEqual } from 'node:crypto';

const CHARS = 12;

/**
 * What the server prints at its start while it has no owner, as `3f9a-81c2-07de`: who knows it runs the server. It is
 * the same in every process of an installation, and good for nothing once there is an owner. 48 bits: out of reach for
 * guessing over HTTP.
 */
export function setupCode(secret: Buffer): string {
  const hex = createHmac('sha256', secret).update('owner-setup-code').digest('hex').slice(0, CHARS);
  return hex.replace(/....(?=.)/g, '$&-');
}

/** With or without hyphens and blanks, in any case. */
export function isSetupCode(secret: Buffer, typed: string): boolean {
  const plain = (text: string): Buffer => Buffer.from(text.replace(/[\s-]/g, '').toLowerCase());
  const [given, right] = [plain(typed), plain(setupCode(secret))];
  return given.length === right.length && timingSafeEqual(given, right);
}
