import { urlOf } from '../values/url.js';

const MAX_URL_CHARS = 4_096;
/** Controls and white space, which browsers strip, and the backslash, which they read as a slash. */
// oxlint-disable-next-line no-control-regex
const DECEPTIVE = /[\u0000-\u0020\u007f-\u009f\\\u2028\u2029]/;

/** Scheme, host and what may stand beside them; what comes after can make no address wrong. */
const HOST = /^https?:\/\/[^/?#]+/i;
const MAX_HOSTS = 1_000;
/** Whether what {@link HOST} finds is safe: links go to the same few, and reading an address in full costs the most. */
const safeHosts = new Map<string, boolean>();

/**
 * The address a redirect may go to, unchanged, or null. Only http and https with a host, and nothing that a browser
 * reads differently from a person: no `user@`, no control characters, no backslash.
 */
export function safeClickTarget(url: string): string | null {
  if (url.length > MAX_URL_CHARS || DECEPTIVE.test(url) || !/^https?:\/\/[^/]/i.test(url)) return null;
  const host = HOST.exec(url)?.[0] ?? '';
  const known = safeHosts.get(host);
  if (known !== undefined) return known ? url : null;
  const parsed = urlOf(url);
  const safe = parsed !== null && parsed.username === '' && parsed.password === '' && parsed.hostname !== '';
  if (safeHosts.size >= MAX_HOSTS) safeHosts.clear();
  safeHosts.set(host, safe);
  return safe ? url : null;
}

/** Above this the token would no longer be one path segment that every server on the way lets through. */
const MAX_PERSONAL_URL_BYTES = 650;

/**
 * Whether a filled-in address may travel in a link of ours. One that may not stands in the mail as it is: untracked,
 * but not broken.
 */
export function isTrackable(url: string): boolean {
  return Buffer.byteLength(url) <= MAX_PERSONAL_URL_BYTES && safeClickTarget(url) !== null;
}

/**
 * Whether a link must not be saved: it would run a script, or lead elsewhere than a person reads. Liquid in it is
 * judged when it is filled in; `mailto:`, `tel:`, anchors and the like are no redirects and are let through.
 */
export function isDeceptiveLink(href: string): boolean {
  const text = href.trim();
  if (/\{[{%]/.test(text)) return /^(?:javascript|vbscript|data):/i.test(text);
  if (/^https?:/i.test(text)) return safeClickTarget(text) === null;
  // Browsers skip these signs inside a scheme, and read a backslash as a slash.
  // oxlint-disable-next-line no-control-regex
  const asRead = text.replace(/[\u0000-\u0020]/g, '');
  return /^(?:javascript|vbscript|data|file|blob):|^[\\/]{2}|^\/\\|\\/i.test(asRead);
}

/** A safe address as a header may hold it: ASCII, and what is encoded already stays as it is. Null for an unsafe one. */
export function locationOf(url: string): string | null {
  const target = safeClickTarget(url);
  return target === null
    ? null
    : target.replace(/[^\u0021-\u007e]+/gu, (text) => encodeURI(text.toWellFormed()));
}
