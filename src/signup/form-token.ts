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

/**
 * Whether the form came back faster than a person can fill it. A form without a token, or with an old one, is not
 * called fast: clients that post without loading the page fall under the rate limits alone.
 */
export function filledTooFast(secret: Buffer, token: unknown, now: Date): boolean {
  if (typeof token !== 'string') return false;
  const read = verifyExpiring(secret, PURPOSE, token, now);
  if (read === null || read === 'expired') return false;
  return now.getTime() - Number(Buffer.from(read.payload).readBigUInt64BE()) < MIN_FILL_MS;
}
