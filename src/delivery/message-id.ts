import { createHmac } from 'node:crypto';

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';
const LENGTH = 26;

/**
 * The same for every attempt of one mail, so that a receiver which got it twice can see that it did (RFC 5322 §3.6.4).
 * Made from the dedupe key under our secret: it names neither the person nor the list.
 */
export function messageIdFor(secret: Buffer, dedupeKey: string, senderEmail: string): string {
  const mac = createHmac('sha256', secret).update('message-id\0').update(dedupeKey).digest();
  const letters = Array.from(mac.subarray(0, LENGTH), (byte) => ALPHABET[byte & 31]).join('');
  return `<${letters}@${senderEmail.slice(senderEmail.lastIndexOf('@') + 1)}>`;
}
