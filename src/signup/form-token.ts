import { signExpiring, verifyExpiring } from '../values/signed-token.js';

const PURPOSE = 'form';
/** A page left open over night still works. */
const VALID_MS = 24 * 3_600_000;
/** Nobody reads a page, types an address and presses a button faster. */
const MIN_FILL_MS = 800;

export function issueFormToken(secret: Buffer, now: Date): string {
  const issuedAt = Buffer.alloc(8);
  issuedAt.writeBigUInt64BE(BigInt(now.getTime()));
  return signExpiring(secret, PURPOSE, issuedAt, new Date(now.getTime() + VALID_MS));
}

/** How long ago the form was handed out, in milliseconds; null without a token of ours from the last day. */
export function formAgeMs(secret: Buffer, token: unknown, now: Date): number | null {
  if (typeof token !== 'string') return null;
  const read = verifyExpiring(secret, PURPOSE, token, now);
  if (read === null || read === 'expired') return null;
  return now.getTime() - Number(Buffer.from(read.payload).readBigUInt64BE());
}

/**
 * Whether the form came back faster than a person can fill it. A form of unknown age is not called fast: clients that
 * post without loading the page fall under stricter rate limits instead.
 */
export function filledTooFast(ageMs: number | null): boolean {
  return ageMs !== null && ageMs < MIN_FILL_MS;
}
