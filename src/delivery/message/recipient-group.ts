import { getDomain } from 'tldts';
import { domainOf } from '../../values/email-address.js';

/**
 * Whose servers take the mail. The big three judge a sender by the pace at which mails arrive, each by itself, so each
 * has its own pace; all others share one.
 */
export const RECIPIENT_GROUPS = ['gmail', 'outlook', 'yahoo', 'other'] as const;
export type RecipientGroup = (typeof RECIPIENT_GROUPS)[number];

/** Domains by name. Those of companies that let one of the three host their mail are found by their MX. */
const BY_DOMAIN: readonly (readonly [RecipientGroup, RegExp])[] = [
  ['gmail', /^(gmail\.com|googlemail\.com|google\.com)$/],
  // Microsoft and Yahoo have a domain in almost every country.
  ['outlook', /^(hotmail|outlook|live|windowslive)\.([a-z]{2,3}|(com?|net)\.[a-z]{2})$/],
  ['outlook', /^(msn|passport|microsoft)\.com$/],
  ['yahoo', /^yahoo\.([a-z]{2,3}|(com?|net)\.[a-z]{2})$/],
  ['yahoo', /^(ymail|rocketmail|myyahoo|aol|aim|netscape)\.com$/],
  ['yahoo', /^(aol\.([a-z]{2}|co\.uk)|verizon\.net|sbcglobal\.net|att\.net|bellsouth\.net)$/],
];

const BY_MX: readonly (readonly [RecipientGroup, RegExp])[] = [
  ['gmail', /(^|\.)(google|googlemail|psmtp)\.com$/],
  ['outlook', /(^|\.)(outlook\.com|outlook\.de|hotmail\.com|office365\.us|mx\.microsoft)$/],
  ['yahoo', /(^|\.)yahoodns\.net$/],
];

/** The group of a domain in lower case and ASCII form, known by its name alone; `other` for the rest of the world. */
export function recipientGroup(domain: string): RecipientGroup {
  return BY_DOMAIN.find(([, pattern]) => pattern.test(domain))?.[0] ?? 'other';
}

/** The group of a mail server as an MX record names it, with or without the final dot. */
export function groupOfMx(mxHost: string): RecipientGroup {
  const host = mxHost.toLowerCase().replace(/\.$/, '');
  return BY_MX.find(([, pattern]) => pattern.test(host))?.[0] ?? 'other';
}

/**
 * Whose mail servers they are: the organisation behind the MX, which may take the mail of thousands of domains. Where the MX
 * is not known, that of the domain itself.
 */
export function receiverOf(domain: string, mxHost: string | null): string {
  const host = mxHost ?? domain;
  return getDomain(host) ?? host;
}

/**
 * In SQL, over names in lower case: whether the mail server `host`, or a domain whose server is not known, is the receiver's.
 * As `receiverOf` says of a receiver that it has named.
 */
export const takenBy = (host: string, receiver: string): string =>
  `(${host} = ${receiver} or right(${host}, length(${receiver}) + 1) = '.' || ${receiver})`;

/** `byMx`: what is known of domains beyond their names; a group that this version does not know makes a queue that works. */
export function groupOf(domain: string, byMx: ReadonlyMap<string, string>): string {
  return byMx.get(domain) ?? recipientGroup(domain);
}

/**
 * What is paced together: the sender's domain, `|`, the recipient's group. Of all others, a receiver that has asked for less
 * has a queue of its own, with `|` and its name behind that.
 */
export function queueKey(senderEmail: string, group: string): string {
  return `${domainOf(senderEmail)}|${group}`;
}

export interface Queue {
  senderDomain: string;
  group: RecipientGroup;
  receiver?: string;
}

/** Null for a key of another form, such as the `default` of rows that were planned before there were queues. */
export function readQueueKey(key: string): Queue | null {
  const [senderDomain = '', name, receiver, ...more] = key.split('|');
  const group = RECIPIENT_GROUPS.find((one) => one === name);
  if (senderDomain === '' || group === undefined || more.length > 0) return null;
  if (receiver === undefined) return { senderDomain, group };
  return group === 'other' && receiver !== '' ? { senderDomain, group, receiver } : null;
}
