import { disposableEmailBlocklist } from 'disposable-email-domains-js';

/** Well known, and not in the list. */
const MORE = [
  ...['burnermail.io', 'mail-temp.com', 'spamgourmet.com', 'temp-mail.io', 'tempmail.dev', 'tempmail.net'],
  'tempmailaddress.com',
];

/**
 * Domains of mailboxes that live for minutes, some nine thousand. New ones appear daily, so this is for counting and
 * advice, never for refusing.
 */
const DISPOSABLE: ReadonlySet<string> = new Set([...disposableEmailBlocklist(), ...MORE]);

/** Whether a domain, or one that it lies below, is known for throw-away mailboxes. In lower case, as A-labels. */
export function isDisposableDomain(domain: string): boolean {
  const labels = domain.split('.');
  return labels.some((_, index) => DISPOSABLE.has(labels.slice(index).join('.')));
}
