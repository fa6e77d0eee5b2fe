import { addressAsRead, urlOf } from '../values/url.js';

const MAX_URL_CHARS = 4_096;
/** Controls, and the backslash, which browsers read as a slash. */
// oxlint-disable-next-line no-control-regex
const DECEPTIVE = /[\u0000-\u001f\u007f-\u009f\\\u2028\u2029]/;

/** Scheme, host and what may stand beside them; what comes after can make no address wrong. */
const ORIGIN = /^https?:\/\/[^/?#]+/i;
const MAX_ORIGINS = 1_000;
/**
 * What {@link ORIGIN} finds as a header may hold it, null for an unsafe one: links go to the same few, and reading an
 * address in full costs the most.
 */
const origins = new Map<string, string | null>();

interface Target {
  /** The whole address. */
  url: string;
  origin: string;
  asciiOrigin: string;
}

function readTarget(written: string): Target | null {
  const url = addressAsRead(written);
  if (url.length > MAX_URL_CHARS || DECEPTIVE.test(url)) return null;
  const origin = ORIGIN.exec(url)?.[0];
  if (origin === undefined) return null;
  let asciiOrigin = origins.get(origin);
  if (asciiOrigin === undefined) {
    asciiOrigin = asciiOriginOf(origin);
    if (origins.size >= MAX_ORIGINS) origins.clear();
    origins.set(origin, asciiOrigin);
  }
  return asciiOrigin === null ? null : { url, origin, asciiOrigin };
}

/** A host with letters beyond ASCII by its name in the DNS: escapes in their place are read as such by browsers alone. */
function asciiOriginOf(origin: string): string | null {
  // At the end of an address blanks are skipped; within it, after the host, they are none of it.
  const parsed = origin.includes(' ') ? null : urlOf(origin);
  if (parsed === null || parsed.username !== '' || parsed.password !== '' || parsed.hostname === '')
    return null;
  return /^[\u0021-\u007e]+$/.test(origin) ? origin : parsed.origin;
}

/**
 * The address a redirect may go to, as browsers read what is written, or null. Only http and https with a host, and
 * nothing that a browser reads differently from a person: no `user@`, no control characters, no backslash.
 */
export function safeClickTarget(written: string): string | null {
  return readTarget(written)?.url ?? null;
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

/** Any but those of pages: `mailto:`, `sms:`, `webcal:`. No redirect of ours goes there, and programs know what to do with it. */
const OTHER_SCHEME = /^(?!https?:)([a-z][a-z0-9+.-]*:)(\s*)(\S)/i;
/** `example.com:8080/a`: a page whose scheme was forgotten, and no scheme with dots in it. */
const HOST_AND_PORT = /^(?:localhost:|[a-z0-9-]+(?:\.[a-z0-9-]+)+:\d)/i;
/** Those that programs of most people open, where what a reader has may be words as well: `note:see below`. */
const OPENED_BY_PROGRAMS = new Set(
  [
    ...[
      'mailto',
      'tel',
      'sms',
      'smsto',
      'callto',
      'facetime',
      'facetime-audio',
      'sip',
      'sips',
      'skype',
      'xmpp',
    ],
    ...['whatsapp', 'tg', 'sgnl', 'viber', 'threema', 'matrix', 'msteams', 'zoommtg', 'irc', 'ircs'],
    ...['webcal', 'webcals', 'geo', 'maps', 'spotify', 'bitcoin', 'lightning', 'magnet', 'ftp', 'ftps'],
  ].map((name) => `${name}:`),
);

/** Whether a link would run a script, or open what stands in it or a file of its reader: no mail may have one. */
export function opensScript(href: string): boolean {
  return /^(?:javascript|vbscript|data|file|blob):/i.test(withoutBlanks(href));
}

/** Browsers skip these signs inside a scheme. */
function withoutBlanks(href: string): string {
  // oxlint-disable-next-line no-control-regex
  return href.replace(/[\u0000-\u0020]/g, '');
}

/**
 * Whether a link must not be saved: it would run a script, or lead elsewhere than a person reads. Liquid in it is
 * judged when it is filled in; `mailto:`, `sms:`, anchors and the like are no redirects and are let through.
 */
export function isDeceptiveLink(href: string): boolean {
  const text = addressAsRead(href);
  if (opensScript(text)) return true;
  if (/\{[{%]/.test(text)) return false;
  if (/^https?:/i.test(text)) return safeClickTarget(text) === null;
  // Browsers read a backslash as a slash.
  return /^[\\/]{2}|\\/.test(withoutBlanks(text));
}

/**
 * Whether a link in a mail leads anywhere that a reader may go to: a page, or what a program of theirs opens, as a call.
 * `written`: the address as Liquid where readers' own words may stand for it; then a scheme that nobody knows must stand in it,
 * or have a slash behind it, as `myapp://news` does and words do not. `tel: +49` is opened where the mail itself calls: words of
 * a reader have a blank behind their colon.
 */
export function isOpenable(url: string, written?: string): boolean {
  if (/^https?:\/\//i.test(url)) return readTarget(url) !== null || urlOf(url) !== null;
  const [, scheme, blanks, next] = OTHER_SCHEME.exec(url.toLowerCase()) ?? [];
  if (scheme === undefined || opensScript(url) || HOST_AND_PORT.test(url)) return false;
  const stands = written === undefined || written.toLowerCase().includes(scheme);
  const isCommon = OPENED_BY_PROGRAMS.has(scheme);
  return blanks === '' ? stands || isCommon || next === '/' : stands && isCommon;
}

/** A safe address as a header may hold it: ASCII, and what is encoded already stays as it is. Null for an unsafe one. */
export function locationOf(written: string): string | null {
  const target = readTarget(written);
  if (target === null) return null;
  const { url, origin, asciiOrigin } = target;
  const rest = url.slice(origin.length);
  return asciiOrigin + rest.replace(/[^\u0021-\u007e]+/gu, (text) => encodeURI(text.toWellFormed()));
}
