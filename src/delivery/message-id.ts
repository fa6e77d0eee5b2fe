import { hmacSha256 } from '../values/hmac.js';

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';
const LENGTH = 26;

/**
 * The same for every attempt of one mail, so that a receiver which got it twice can see that it did (RFC 5322 §3.6.4).
 * Made from the dedupe key under our secret: it names neither the person nor the list.
 */
export function messageIdFor(secret: Buffer, dedupeKey: string, senderEmail: string): string {
  const mac = hmacSha256(secret, `message-id\0${dedupeKey}`);
  let letters = '';
  for (let place = 0; place < LENGTH; place++) letters += ALPHABET.charAt((mac[place] ?? 0) & 31);
  return `<${letters}@${senderEmail.slice(senderEmail.lastIndexOf('@') + 1)}>`;
}
