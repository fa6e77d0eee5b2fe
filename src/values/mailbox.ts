import { domainOf, localPartOf } from './email-address.js';

const GOOGLE = new Set(['gmail.com', 'googlemail.com']);

/**
 * The mailbox that mail to an address probably reaches: its key without what follows a plus, and as Google reads it
 * without dots. Two people never share one by this, and one person rarely passes for two; it decides who pays whom and
 * how often a mailbox is asked, not who is written to. `emailKey` is that of `parseEmailAddress`.
 */
export function mailboxOf(emailKey: string): string {
  const [local, domain] = [localPartOf(emailKey), domainOf(emailKey)];
  // "+news@example.com" has no name before the plus.
  const name = local.split('+')[0] || local;
  return GOOGLE.has(domain) ? `${name.replaceAll('.', '')}@gmail.com` : `${name}@${domain}`;
}
