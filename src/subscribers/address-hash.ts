import { createHmac } from 'node:crypto';

/** What a suppression keeps instead of the address: it outlives the erasure of the person, and tells nobody who it was. */
export function addressHash(secret: Buffer, emailKey: string): Buffer {
  return createHmac('sha256', secret).update('address\0').update(emailKey).digest();
}
