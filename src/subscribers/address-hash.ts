import { hmacSha256, hmacSha256Text } from '../values/hmac.js';

/** What a suppression keeps instead of the address: it outlives the erasure of the person, and tells nobody who it was. */
export function addressHash(secret: Buffer, emailKey: string): Buffer {
  return hmacSha256(secret, `address\0${emailKey}`);
}

/** The same in hexadecimal digits, for those who write a million of them as text. */
export function addressHashHex(secret: Buffer, emailKey: string): string {
  return hmacSha256Text(secret, `address\0${emailKey}`, undefined, 'hex');
}

/** Writes it to its place among thousands, without a buffer for each. */
export function writeAddressHash(to: Buffer, at: number, secret: Buffer, emailKey: string): void {
  to.write(hmacSha256Text(secret, `address\0${emailKey}`), at, 'latin1');
}
