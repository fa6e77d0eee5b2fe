import { hmacSha256 } from '../values/hmac.js';

/** What a suppression keeps instead of the address: it outlives the erasure of the person, and tells nobody who it was. */
export function addressHash(secret: Buffer, emailKey: string): Buffer {
  return hmacSha256(secret, `address\0${emailKey}`);
}
