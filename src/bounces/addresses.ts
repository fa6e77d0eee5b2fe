import { wireAddress } from '../values/email-address.js';

const LOCAL = /(?:"[^"\s\r\n]{1,62}"|[^\s<>"@:;,()[\]|]{1,64})/.source;
const ASCII_DOMAIN = /[a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?/.source;

/** A letter or sign of another script, and no punctuation or space of it. */
const BEYOND_ASCII = String.raw`[^\p{ASCII}\p{Z}\p{P}\p{S}\p{C}]`;
const BEYOND_LABEL = String.raw`(?:[0-9-]|${BEYOND_ASCII}){1,63}`;
const LATIN_LABEL = String.raw`[a-z0-9\p{Script=Latin}\p{M}-]{1,63}`;
const LABELS = `(?:(?:${LATIN_LABEL}|${BEYOND_LABEL})\\.)`;
/**
 * A domain in other scripts (RFC 5890). In some of them words follow each other without a space, so nothing of another
 * script is added to a label of ASCII, nor to a domain of ASCII that is whole: `bob@example.orgに配信できません`.
 */
const IDN_DOMAIN = String.raw`(?=[a-z0-9.-]{0,250}${BEYOND_ASCII})(?:${LABELS}{0,5}${BEYOND_LABEL}\.${BEYOND_ASCII}{1,63}|${LABELS}{1,6}[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)`;

/** One address as mails and reports write it, without its brackets; for patterns with the flags `iu`. Bounded, so that no text makes it slow. */
export const ADDRESS = `${LOCAL}@(?:${IDN_DOMAIN}|${ASCII_DOMAIN})`;

/** Every address in a text. */
export const ANY_ADDRESS = new RegExp(ADDRESS, 'giu');
const MAX_TEXT_CHARS = 64_000;

/** Every address in the text, lower case in its domain, each once, in order. */
export function addressesIn(text: string): string[] {
  const found = [...text.slice(0, MAX_TEXT_CHARS).matchAll(ANY_ADDRESS)].map(([address]) => tidy(address));
  // A domain that the DNS could not have is none.
  return [...new Set(found)].filter((address) => !address.endsWith('@'));
}

/** The one address a field such as `rfc822; <a@example.com>` names; null when there is none. */
export function addressIn(text: string): string | null {
  return addressesIn(text)[0] ?? null;
}

export function sameAddress(a: string, b: string): boolean {
  return plain(a) === plain(b);
}

/** One letter may be written in two ways (RFC 6532 §3.1). */
function plain(address: string): string {
  return address.normalize('NFC').toLowerCase();
}

/** Quotes and brackets that belong to the sentence, not to the address. */
function tidy(address: string): string {
  return wireAddress(address.replace(/^(?:[='`*]|[^\p{ASCII}\p{L}\p{M}\p{N}])+/u, ''));
}
