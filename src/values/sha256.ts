import { createHash } from 'node:crypto';

/** For secrets that are long and random, such as keys and sessions: passwords want a slow hash. */
export function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
