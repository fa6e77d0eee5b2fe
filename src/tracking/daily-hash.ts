import { hmacSha256 } from '../values/hmac.js';

const HASH_BYTES = 16;

/** The same for one value on one UTC day (`2026-03-02`), and without a way back to it. */
export function dailyHash(
  secret: Buffer,
  { purpose, day, value }: { purpose: string; day: string; value: string },
): Buffer {
  return hmacSha256(secret, `${purpose}\0${day}\0${value}`).subarray(0, HASH_BYTES);
}
