import { getDomain } from 'tldts';
import { domainOf, localPartOf } from '../values/email-address.js';

/**
 * Who sends feedback reports: whole domains that write nothing else, or one address where people have theirs beside it.
 * Anybody may have an address at a mailbox provider, and a mail from there is signed like those of the provider itself.
 */
const REPORTERS: readonly string[] = [
  // Yahoo, with AOL.
  'arf.mail.yahoo.com',
  'scomp@aol.net',
  // Outlook and Hotmail.
  'staff@hotmail.com',
  // Validity, for Comcast, Fastmail, Yandex and some twenty others.
  'senderscore.net',
  'returnpath.net',
  'validity.com',
  // Amazon SES.
  'email-abuse.amazonses.com',
  'fbl@corp.mail.ru',
];
/** Names that no provider gives to one of its customers (RFC 2142, and those that feedback reports come from). */
const OFFICES: ReadonlySet<string> = new Set(
  'abuse arf complaints fbl feedback feedback-loop feedbackloop mailer-daemon postmaster staff'.split(' '),
);

/**
 * Whether feedback reports come from such an address: the others need not be looked at further. `more`: those whom the
 * owner trusts beside the ones that everybody knows.
 */
export function isReporter(from: string, more: readonly string[]): boolean {
  return isKnown(from, more) || OFFICES.has(localOf(from));
}

/**
 * Whether a report that was proven to come from `from` may speak for the person at `address`: known reporters, and the
 * office of the address's own domain, or of the provider whose servers, `mx`, take the mail of that domain.
 */
export function mayReportFor(
  from: string,
  { address, mx, more }: { address: string; mx: readonly string[]; more: readonly string[] },
): boolean {
  if (isKnown(from, more)) return true;
  const domain = domainOf(from);
  const isHost = mx.some((host) => isWithin(host.toLowerCase().replace(/\.$/, ''), domain));
  return OFFICES.has(localOf(from)) && (isHost || sameOrganisation(domain, domainOf(address)));
}

export function sameOrganisation(a: string, b: string): boolean {
  const organisation = (domain: string): string =>
    getDomain(domain, { allowPrivateDomains: true }) ?? domain.toLowerCase();
  return a !== '' && organisation(a) === organisation(b);
}

function localOf(address: string): string {
  return localPartOf(address).toLowerCase();
}

function isKnown(from: string, more: readonly string[]): boolean {
  const [address, domain] = [from.toLowerCase(), domainOf(from)];
  return [...REPORTERS, ...more].some((one) => one === address || isWithin(domain, one));
}

function isWithin(domain: string, other: string): boolean {
  return domain === other || domain.endsWith(`.${other}`);
}
