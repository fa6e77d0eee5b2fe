import { decodeIds, signIds, verifyToken } from '../../values/signed-token.js';

/**
 * Envelope addresses that name what they are about (VERP), so that an answer needs no address in its body to be
 * understood: `b+TOKEN@` is the return path of one mail, `u+TOKEN@` takes an unsubscribe mail (RFC 2369).
 *
 * The tokens are those of `signIds` in another spelling: hosts on the way fold the case of a local part and RFC 5321
 * §4.5.3.1.1 allows it 64 characters, so base32 in lower case without padding. `b+` comes to 41 characters, `u+` (two
 * ids) to 54.
 */
const BOUNCE = 'b+';
const UNSUBSCRIBE = 'u+';
const PURPOSE = 'bounce';
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';
const MAX_LOCAL_CHARS = 64;

/** The return path of one message. The domain is ours: it gets bounces and nothing else. */
export function verpAddress(secret: Buffer, messageId: string, bounceDomain: string): string {
  return `${BOUNCE}${verpToken(secret, messageId)}@${bounceDomain}`;
}

/** What stands after `b+`: letters and digits alone, for the tags of mail providers. */
export function verpToken(secret: Buffer, messageId: string): string {
  return toBase32(signIds(secret, PURPOSE, [messageId]));
}

/** The return path that a tag stands for; its domain is nobody's. */
export function verpOfTag(tag: string): string {
  return `${BOUNCE}${tag}@return-path.invalid`;
}

/** The id of the message a bounce to this local part is about; null unless we wrote it. */
export function readVerp(secret: Buffer, localPart: string): string | null {
  const token = tokenAfter(BOUNCE, localPart);
  const payload = token === null ? null : verifyToken(secret, PURPOSE, token);
  return payload === null ? null : (decodeIds(payload, 1)?.[0] ?? null);
}

/** The mailto companion of an unsubscribe link. `token` is the one in the link (base64url). */
export function unsubscribeAddress(token: string, bounceDomain: string): string {
  return `${UNSUBSCRIBE}${toBase32(token)}@${bounceDomain}`;
}

/** The token as it stands in the link, still to be verified; null when the local part is none of `unsubscribeAddress`. */
export function readUnsubscribeAddress(localPart: string): string | null {
  return tokenAfter(UNSUBSCRIBE, localPart);
}

function tokenAfter(prefix: string, localPart: string): string | null {
  const local = localPart.toLowerCase();
  if (local.length > MAX_LOCAL_CHARS || !local.startsWith(prefix)) return null;
  return fromBase32(local.slice(prefix.length));
}

function toBase32(token: string): string {
  let text = '';
  let bits = 0;
  let value = 0;
  for (const byte of Buffer.from(token, 'base64url')) {
    value = (value << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[(value >>> bits) & 31];
    }
    value &= (1 << bits) - 1;
  }
  return bits === 0 ? text : text + ALPHABET[(value << (5 - bits)) & 31];
}

/** Null for anything `toBase32` would not write, so that a token has one spelling. */
function fromBase32(text: string): string | null {
  const bytes: number[] = [];
  let bits = 0;
  let value = 0;
  for (const letter of text) {
    const index = ALPHABET.indexOf(letter);
    if (index === -1) return null;
    value = (value << 5) | index;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes.push((value >>> bits) & 255);
    }
    value &= (1 << bits) - 1;
  }
  const token = Buffer.from(bytes).toString('base64url');
  return bytes.length > 0 && toBase32(token) === text ? token : null;
}
