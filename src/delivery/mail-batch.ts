import { addressHash } from '../subscribers/address-hash.js';
import type { OpenHours } from '../values/week-hours.js';
import type { MessageClass, MessageKind, Sender } from './message.js';
import { messageIdFor } from './message-id.js';
import { domainOf, laneKey, recipientGroup, type RecipientGroup } from './pacing/recipient-group.js';

/** What many mails of one batch have in common; it crosses to the database once, not once per mail. */
export interface SharedMail {
  class: MessageClass;
  kind: MessageKind;
  /** The topic the mail belongs to: its funnel, or what a broadcast is about. */
  funnelKey: string;
  stepKey?: string | undefined;
  broadcastId?: string | undefined;
  /** Place of the arm in a split test. */
  arm?: number | undefined;
  /** It is written, and held for this reason. */
  heldFor?: string | undefined;
  templateId: string;
  data: Record<string, unknown>;
  sender: Sender;
  dueAt: Date;
  expiresAt?: Date | undefined;
  /** Among the mails that are due: 1 goes first; 5 when it is left out. */
  priority?: number | undefined;
  /** In which it may go, however long it has had to wait; at any time when it is left out. */
  hours?: OpenHours | undefined;
}

export interface MailTimes {
  dueAt: Date;
  /** What an overdue mail is judged by, where that is not when it is due. */
  plannedFor: Date | null;
  /** Null: that of its `SharedMail`. */
  expiresAt: Date | null;
}

/** One mail of a batch. */
export interface BatchMail {
  /** Place of its `SharedMail` in the batch. */
  shared: number;
  dedupeKey: string;
  subscriberId: string;
  enrollmentId?: string | undefined;
  address: string;
  /** The address as it is compared and hashed. */
  emailKey: string;
  /** Times of its own, in place of those of its `SharedMail`. */
  times?: MailTimes | undefined;
}

export interface MailBatch {
  shared: SharedMail[];
  mails: BatchMail[];
}

/** The mails of a batch by column, one entry per mail in each. */
export interface MailColumns {
  shared: number[];
  dedupeKeys: string[];
  subscriberIds: string[];
  enrollmentIds: (string | null)[];
  addresses: string[];
  /** Hex. */
  addressHashes: string[];
  messageIdHeaders: string[];
  /** Of the recipients. */
  domains: string[];
  /** Null when no mail of the batch has times of its own. */
  times: (MailTimes | null)[] | null;
}

/** Hashes are made here: PostgreSQL could, but must not know the secret. */
export function mailColumns(secret: Buffer, { shared, mails }: MailBatch): MailColumns {
  const columns: MailColumns = {
    shared: [],
    dedupeKeys: [],
    subscriberIds: [],
    enrollmentIds: [],
    addresses: [],
    addressHashes: [],
    messageIdHeaders: [],
    domains: [],
    times: mails.some(({ times }) => times) ? mails.map(({ times }) => times ?? null) : null,
  };
  for (const mail of mails) {
    const from = shared[mail.shared]?.sender.email ?? '';
    columns.shared.push(mail.shared);
    columns.dedupeKeys.push(mail.dedupeKey);
    columns.subscriberIds.push(mail.subscriberId);
    columns.enrollmentIds.push(mail.enrollmentId ?? null);
    columns.addresses.push(mail.address);
    columns.addressHashes.push(addressHash(secret, mail.emailKey).toString('hex'));
    columns.messageIdHeaders.push(messageIdFor(secret, mail.dedupeKey, from));
    columns.domains.push(domainOf(mail.address));
  }
  return columns;
}

/** The lane of each mail. `groupsByMx`: what is known about a domain beyond its name; it goes first. */
export function laneKeys(
  shared: readonly SharedMail[],
  columns: Pick<MailColumns, 'shared' | 'domains'>,
  groupsByMx: ReadonlyMap<string, string>,
): string[] {
  const bySender = shared.map(() => new Map<string, string>());
  return columns.domains.map((domain, index) => {
    const place = columns.shared[index] ?? 0;
    const known = bySender[place]?.get(domain);
    if (known !== undefined) return known;
    // A group of the table that this version does not know has no pace of its own either; the lane still works.
    const group = (groupsByMx.get(domain) ?? recipientGroup(domain)) as RecipientGroup;
    const key = laneKey(shared[place]?.sender.email ?? '', group);
    bySender[place]?.set(domain, key);
    return key;
  });
}
