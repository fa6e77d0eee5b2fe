import { domainOf } from '../../values/email-address.js';
import { hmacSha256Text } from '../../values/hmac.js';

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';
const CODES = Buffer.from(ALPHABET, 'latin1');

/** Letters and digits before the @. */
export const MESSAGE_ID_BYTES = 26;

/**
 * The same for every attempt of one mail, so that a receiver which got it twice can see that it did (RFC 5322 §3.6.4).
 * Made from the dedupe key under our secret: it names neither the person nor the list.
 */
export function messageIdFor(secret: Buffer, dedupeKey: string, senderEmail: string): string {
  const letters = Buffer.allocUnsafe(MESSAGE_ID_BYTES);
  writeMessageId(letters, 0, secret, dedupeKey);
  return `<${letters.toString('latin1')}${messageIdEnd(senderEmail)}`;
}

/** From the @ on, in A-labels: no header of ours has a sign beyond ASCII. */
export function messageIdEnd(senderEmail: string): string {
  return `@${domainOf(senderEmail)}>`;
}

/** Writes what stands before the @ in `MESSAGE_ID_BYTES` of ASCII. */
export function writeMessageId(to: Buffer, at: number, secret: Buffer, dedupeKey: string): void {
  const mac = hmacSha256Text(secret, `message-id\0${dedupeKey}`);
  for (let place = 0; place < MESSAGE_ID_BYTES; place++)
    to[at + place] = CODES[mac.charCodeAt(place) & 31] ?? 0;
}
