import { domainOf } from '../../values/email-address.js';
import { mailboxOf } from '../../values/mailbox.js';
import { organisationOf } from './organisations.js';

/**
 * How many readers the mails went to of which a report speaks that anyone who has the mail may have written. Whoever has a
 * domain has all of its mailboxes, and can subscribe with each: they are one. At the big providers a mailbox is one.
 */
export function readersOf(addresses: readonly string[]): number {
  return new Set(addresses.map((address) => readerOf(address.toLowerCase()))).size;
}

function readerOf(address: string): string {
  return organisationOf(domainOf(address)) ?? mailboxOf(address);
}
