import { domainToASCII } from 'node:url';
import { editDistance, MAX_DISTANCE } from './nearest.js';

export type EmailAddressParse =
  | {
      readonly ok: true;
      readonly address: string;
      readonly key: string;
      readonly domain: string;
      readonly smtpUtf8: boolean;
    }
  | { readonly ok: false; readonly reason: string };

/** RFC 5321 section 4.5.3.1, in octets. The path limit of 256 includes its two angle brackets. */
const MAX_LOCAL_OCTETS = 64;
const MAX_DOMAIN_OCTETS = 253;
const MAX_ADDRESS_OCTETS = 254;
/** Far above any address, to keep odd input from reaching the Unicode tables. */
const MAX_INPUT_CHARS = 1_000;

/** Spaces, tabs and the invisible characters that come along when an address is copied from a page. */
const AROUND = /^[ \t\u00a0\u200b\u2060\ufeff]+|[ \t\u00a0\u200b\u2060\ufeff]+$/g;
/** RFC 5322 atext, plus any character beyond ASCII (RFC 6531 section 3.3); those are narrowed by `NOT_TEXT`. */
const ATOM = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\u{10ffff}-]+$/u;
/** Controls, bidirectional and other invisible marks, lone surrogates, private and unassigned code points, spaces. */
const NOT_TEXT = /[\p{C}\p{Z}]/u;
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const NON_ASCII = /[\u0080-\u{10ffff}]/u;
/** What may stand in a domain before conversion: `domainToASCII` alone would decode %2E and cut at / ? #. */
const DOMAIN_TEXT = /^[A-Za-z0-9.\u0080-\u{10ffff}-]+$/u;

/**
 * What nearly all addresses are, told by one look: a dot-atom of ASCII at a domain whose last label begins with a letter.
 * What it does not fit is looked at in full.
 */
const PLAIN =
  /^([A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*)@((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)$/;

/**
 * Judges an address for sign-up and sending. The shape is that of the HTML standard's email input (a plain dot-atom, so
 * no quoted local part, comment, group, route or address literal) within RFC 5321's limits; addresses in other scripts
 * (RFC 6531) are accepted. Spaces around it are dropped; a line break anywhere is refused, because an address ends up in
 * an SMTP command.
 *
 * - `address` is what to send to: local part as given (NFC), domain in lower case as A-labels.
 * - `key` is who it is: the whole address in lower case. Dots and +tags stay distinct; only the provider knows better.
 * - `smtpUtf8` says that the receiving server must offer SMTPUTF8.
 *
 * A domain needs a dot, except a bare two-letter country code: a few registries do receive mail there (RFC 5321 section
 * 2.3.5), while `ada@gmail` is a slip of the keyboard. `reason` is a phrase for the person who typed it.
 */
export function parseEmailAddress(input: string): EmailAddressParse {
  if (input.length > MAX_INPUT_CHARS) return refused('it is too long');
  return parsePlain(input) ?? parseAny(input);
}

function parsePlain(input: string): EmailAddressParse | null {
  const [, local, given] = (input.length <= MAX_ADDRESS_OCTETS && PLAIN.exec(input)) || [];
  if (local === undefined || given === undefined || local.length > MAX_LOCAL_OCTETS) return null;
  const domain = given.toLowerCase();
  const address = `${local}@${domain}`;
  return { ok: true, address, key: address.toLowerCase(), domain, smtpUtf8: false };
}

function parseAny(input: string): EmailAddressParse {
  const trimmed = input.replace(AROUND, '').normalize('NFC');
  const at = trimmed.lastIndexOf('@');
  if (trimmed === '') return refused('it is empty');
  if (at < 0) return refused('it has no @');
  const local = trimmed.slice(0, at);
  const localProblem = problemOfLocal(local);
  if (localProblem !== null) return refused(localProblem);
  const domain = asciiDomain(trimmed.slice(at + 1));
  if (typeof domain !== 'string') return refused(domain.problem);
  const address = `${local}@${domain}`;
  if (Buffer.byteLength(address) > MAX_ADDRESS_OCTETS)
    return refused(`it is longer than ${MAX_ADDRESS_OCTETS} bytes`);
  const key = address.toLowerCase().normalize('NFC');
  return { ok: true, address, key, domain, smtpUtf8: NON_ASCII.test(local) };
}

const ASCII = /^[ -~]*$/;

/** Everything after the last @, in lower case and in A-labels, as the DNS, limits and headers name a domain. */
export function domainOf(address: string): string {
  const domain = address.slice(address.lastIndexOf('@') + 1).toLowerCase();
  return ASCII.test(domain) ? domain : domainToASCII(domain);
}

/** `domainOf` in SQL, of an address or a key as `parseEmailAddress` gives them, which is how they are kept. */
export const domainSql = (address: string): string => `split_part(${address}, '@', -1)`;

/** Everything before the last @, which in a quoted local part may stand as well: `"a@b"@example.com`. */
export function localPartOf(address: string): string {
  return address.slice(0, address.lastIndexOf('@'));
}

/** An address as the envelope and the headers carry it: its domain in A-labels (RFC 5891 §4.4). */
export function wireAddress(address: string): string {
  return `${localPartOf(address)}@${domainOf(address)}`;
}

/** `a***@example.com`, for logs and pages: enough to recognise one's own, too little to write to. */
export function maskEmailAddress(address: string): string {
  const at = address.lastIndexOf('@');
  const first = [...address][0];
  return at < 1 || first === undefined ? '***' : `${first}***${address.slice(at)}`;
}

const ROLE_NAMES: ReadonlySet<string> = new Set(
  (
    'abuse accounting accounts admin administrator all billing careers compliance contact customerservice devnull dns ' +
    'enquiries everyone feedback ftp help helpdesk hostmaster hr info inquiries investors jobs legal list mail ' +
    'mailer-daemon marketing media news newsletter no-reply noc noreply office orders postmaster press privacy root ' +
    'sales security service spam staff subscribe support sysadmin team tech unsubscribe usenet uucp webmaster www'
  ).split(' '),
);

/** Whether a local part names a function (RFC 2142 and common practice) rather than a person; +tags are ignored. */
export function isRoleAccount(local: string): boolean {
  const plus = local.indexOf('+');
  return ROLE_NAMES.has((plus < 0 ? local : local.slice(0, plus)).toLowerCase());
}

/** Big mailbox providers whose misspellings lose the most sign-ups. */
const PROVIDERS = [
  'gmail.com',
  'googlemail.com',
  'yahoo.com',
  'hotmail.com',
  'outlook.com',
  'icloud.com',
  'live.com',
  'msn.com',
  'aol.com',
  'comcast.net',
  'verizon.net',
  'proton.me',
  'protonmail.com',
  'fastmail.com',
  'zoho.com',
  'yandex.com',
] as const;

/** Real mail domains one or two letters away from a provider. */
const REAL_NEIGHBOURS: ReadonlySet<string> = new Set(
  'mail.com email.com ymail.com hmail.com fmail.com zmail.com gmail.co.uk rocketmail.com protonmail.ch proton.com'.split(
    ' ',
  ),
);
/** Endings that are real but are typed by mistake for .com far more often than on purpose. */
const SUSPECT_ENDINGS: ReadonlySet<string> = new Set(['co', 'cm', 'om']);
/** Below this many letters a neighbour is as likely another company's name. */
const SHORTEST_FUZZY_NAME = 5;
const SHORTEST_TWO_ERROR_NAME = 6;

/**
 * The big provider a mistyped domain probably means (`gmial.com` → `gmail.com`), or null. A hint to show beside the
 * field, never a reason to refuse: `domain` may be real.
 */
export function suggestDomain(domain: string): string | null {
  const typed = domain.trim().toLowerCase();
  if (REAL_NEIGHBOURS.has(typed) || PROVIDERS.some((provider) => provider === typed)) return null;
  let best: { provider: string; distance: number } | null = null;
  for (const provider of PROVIDERS) {
    const distance = domainDistance(typed, provider);
    if (distance <= MAX_DISTANCE && (best === null || distance < best.distance))
      best = { provider, distance };
  }
  return best?.provider ?? null;
}

function problemOfLocal(local: string): string | null {
  if (local === '') return 'the part before the @ is missing';
  if (local.includes('"')) return 'quotation marks are not allowed';
  if (local.includes('@')) return 'it has more than one @';
  if (Buffer.byteLength(local) > MAX_LOCAL_OCTETS)
    return `the part before the @ is longer than ${MAX_LOCAL_OCTETS} bytes`;
  const atoms = local.split('.');
  if (atoms.includes('')) return 'a dot before the @ must stand between two other characters';
  // Full-width forms of @ and . read as the real ones to people and to some servers.
  if (
    NOT_TEXT.test(local) ||
    !atoms.every((atom) => ATOM.test(atom)) ||
    /[@\s"(),:;<>[\\\]]/.test(local.normalize('NFKC'))
  ) {
    return 'a character before the @ is not allowed';
  }
  return null;
}

function asciiDomain(text: string): string | { problem: string } {
  if (text === '') return { problem: 'the domain after the @ is missing' };
  if (!DOMAIN_TEXT.test(text) || NOT_TEXT.test(text))
    return { problem: 'a character after the @ is not allowed' };
  const domain = NON_ASCII.test(text) ? domainToASCII(text) : text.toLowerCase();
  const labels = domain.split('.');
  const last = labels.at(-1) ?? '';
  if (domain === '' || !labels.every((label) => LABEL.test(label))) {
    return {
      problem:
        'the domain must be labels of letters, digits and inner hyphens, 63 at most, joined by single dots',
    };
  }
  if (domain.length > MAX_DOMAIN_OCTETS)
    return { problem: `the domain is longer than ${MAX_DOMAIN_OCTETS} bytes` };
  if (/^\d+$/.test(last)) return { problem: 'the domain must not end in a number' };
  if (labels.length < 2 && !/^[a-z]{2}$/.test(domain))
    return { problem: 'the domain has no dot, such as in example.com' };
  return domain;
}

function refused(reason: string): EmailAddressParse {
  return { ok: false, reason };
}

function domainDistance(typed: string, provider: string): number {
  const [name, ending] = splitAtDot(provider);
  const [typedName, typedEnding] = splitAtDot(typed);
  if (typedEnding === '') {
    // `gmailcom`: the dot was missed.
    return typed === name + ending ? 1 : Number.POSITIVE_INFINITY;
  }
  const nameDistance = editDistance(typedName, name);
  const endingDistance = editDistance(typedEnding, ending);
  // hotmail.de or yahoo.es are those providers' own country domains.
  const isCountry = typedEnding.length === 2 && !SUSPECT_ENDINGS.has(typedEnding);
  if (endingDistance > 0 && (isCountry || endingDistance > 1)) return Number.POSITIVE_INFINITY;
  if (nameDistance > 0 && name.length < SHORTEST_FUZZY_NAME) return Number.POSITIVE_INFINITY;
  if (nameDistance > 1 && (name.length < SHORTEST_TWO_ERROR_NAME || typedName[0] !== name[0])) {
    return Number.POSITIVE_INFINITY;
  }
  return nameDistance + endingDistance;
}

function splitAtDot(domain: string): [string, string] {
  const dot = domain.indexOf('.');
  return dot < 0 ? [domain, ''] : [domain.slice(0, dot), domain.slice(dot + 1)];
}
