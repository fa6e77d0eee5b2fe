import { writeAddressHash } from '../../subscribers/address-hash.js';
import type { OpenHours } from '../../values/week-hours.js';
import type { MessageClass, MessageKind, Sender } from './message.js';
import { MESSAGE_ID_BYTES, writeMessageId } from './message-id.js';
import { groupOf, queueKey } from './recipient-group.js';
import { domainOf } from '../../values/email-address.js';

/** What many mails of one batch have in common; it crosses to the database once, not once per mail. */
export interface SharedMail {
  class: MessageClass;
  kind: MessageKind;
  /** What stands before and behind the id that tells its mails apart: that of the enrollment, else of the subscriber. */
  dedupeKey: readonly [before: string, after: string];
  /** The topic the mail belongs to: its funnel, or what a broadcast is about. */
  funnelKey: string;
  stepKey?: string | undefined;
  broadcastId?: string | undefined;
  /** Place of the arm in a split test. */
  arm?: number | undefined;
  /** It is written, and held for this reason. */
  heldFor?: string | undefined;
  /** It is written, and never sent, for this reason. */
  withheldFor?: string | undefined;
  templateId: string;
  data: Record<string, unknown>;
  sender: Sender;
  dueAt: Date;
  expiresAt?: Date | undefined;
  /** Among the mails that are due: 1 goes first; when it is left out, as `priorityOf` says. */
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
interface BatchMail {
  /** Place of its `SharedMail` in the batch. */
  shared: number;
  subscriberId: string;
  enrollmentId: string | null;
  address: string;
  /** The address as it is compared and hashed. */
  emailKey: string;
}

/** Mails by column, one entry for each in every column. Objects in their place cost a third of the time of planning. */
interface BatchMails {
  shared: number[];
  subscriberIds: string[];
  enrollmentIds: (string | null)[];
  addresses: string[];
  emailKeys: string[];
}

export interface MailBatch {
  shared: SharedMail[];
  mails: BatchMails;
  /** Times of their own, in place of those of the `SharedMail`; null when no mail of the batch has any. */
  times: (MailTimes | null)[] | null;
}

/** A batch whose hashes are made. */
export interface PreparedBatch {
  shared: SharedMail[];
  /** One entry, or so many bytes, for each mail in every column. */
  mails: Omit<BatchMails, 'emailKeys'> & {
    /** 32 bytes each. */
    addressHashes: Buffer;
    /** `MESSAGE_ID_BYTES` each: what stands before the @ of the Message-ID. */
    messageIds: Buffer;
    /** Places in `domains`. */
    domains: number[];
  };
  /** Of the recipients, each once. */
  domains: string[];
  times: (MailTimes | null)[] | null;
}

export const ADDRESS_HASH_BYTES = 32;

export function emptyBatch(): MailBatch {
  return {
    shared: [],
    mails: { shared: [], subscriberIds: [], enrollmentIds: [], addresses: [], emailKeys: [] },
    times: null,
  };
}

export function addMail(
  { mails }: MailBatch,
  { shared, subscriberId, enrollmentId, address, emailKey }: BatchMail,
): void {
  mails.shared.push(shared);
  mails.subscriberIds.push(subscriberId);
  mails.enrollmentIds.push(enrollmentId);
  mails.addresses.push(address);
  mails.emailKeys.push(emailKey);
}

/** Hashes are made here: PostgreSQL could, but must not know the secret. */
export function prepareBatch(secret: Buffer, { shared, mails, times }: MailBatch): PreparedBatch {
  const { emailKeys, ...columns } = mails;
  const addressHashes = Buffer.allocUnsafe(emailKeys.length * ADDRESS_HASH_BYTES);
  const messageIds = Buffer.allocUnsafe(emailKeys.length * MESSAGE_ID_BYTES);
  const places = new Map<string, number>();
  const domains: number[] = [];
  for (const [nth, emailKey] of emailKeys.entries()) {
    const [before, after] = shared[mails.shared[nth] ?? -1]?.dedupeKey ?? ['', ''];
    const id = mails.enrollmentIds[nth] ?? mails.subscriberIds[nth] ?? '';
    writeAddressHash(addressHashes, nth * ADDRESS_HASH_BYTES, secret, emailKey);
    writeMessageId(messageIds, nth * MESSAGE_ID_BYTES, secret, before + id + after);
    const domain = domainOf(mails.addresses[nth] ?? '');
    let place = places.get(domain);
    if (place === undefined) places.set(domain, (place = places.size));
    domains.push(place);
  }
  return {
    shared,
    mails: { ...columns, addressHashes, messageIds, domains },
    domains: [...places.keys()],
    times,
  };
}

/**
 * The shared mails once for each queue they go by, so that no queue has to be named for a single mail, and the place of each
 * mail among them. `groupsByMx`: what is known about a domain beyond its name; it goes first.
 */
export function byQueue<Mail extends { sender: Sender }>(
  shared: readonly Mail[],
  {
    mails,
    domains,
  }: Pick<PreparedBatch, 'domains'> & { mails: Pick<PreparedBatch['mails'], 'shared' | 'domains'> },
  groupsByMx: ReadonlyMap<string, string>,
): { shared: (Mail & { queueKey: string })[]; places: number[] } {
  const queued: (Mail & { queueKey: string })[] = [];
  const byKey = shared.map(() => new Map<string, number>());
  const byDomain = shared.map((): number[] => []);
  const groups = domains.map((domain) => groupOf(domain, groupsByMx));
  const place = (mail: number, domain: number): number => {
    const one = shared[mail];
    const queue = queueKey(one?.sender.email ?? '', groups[domain] ?? 'other');
    const known = byKey[mail]?.get(queue);
    if (known !== undefined || one === undefined) return known ?? -1;
    const made = queued.push({ ...one, queueKey: queue }) - 1;
    byKey[mail]?.set(queue, made);
    return made;
  };
  const places = mails.domains.map((domain, nth) => {
    const mail = mails.shared[nth] ?? -1;
    const known = byDomain[mail];
    if (known === undefined) return -1;
    return (known[domain] ??= place(mail, domain));
  });
  return { shared: queued, places };
}
