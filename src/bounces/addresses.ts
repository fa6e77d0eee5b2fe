import { wireAddress } from '../values/email-address.js';

const LOCAL = /(?:"[^"\s\r\n]{1,62}"|[^\s<>"@:;,()[\]|]{1,64})/.source;
const DOMAIN = /[a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?/.source;

/** One address as mails and reports write it, without its brackets. Bounded, so that no text makes it slow. */
export const ADDRESS = `${LOCAL}@${DOMAIN}`;

/** Every address in a text. */
export const ANY_ADDRESS = new RegExp(ADDRESS, 'gi');
const MAX_TEXT_CHARS = 64_000;

/** Every address in the text, lower case in its domain, each once, in order. */
export function addressesIn(text: string): string[] {
  const found = [...text.slice(0, MAX_TEXT_CHARS).matchAll(ANY_ADDRESS)].map(([address]) => tidy(address));
  return [...new Set(found)];
}

/** The one address a field such as `rfc822; <a@example.com>` names; null when there is none. */
export function addressIn(text: string): string | null {
  return addressesIn(text)[0] ?? null;
}

export function sameAddress(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

/** Quotes and dots that belong to the sentence, not to the address. */
function tidy(address: string): string {
  return wireAddress(address.replace(/^[='`*]+/, ''));
}
