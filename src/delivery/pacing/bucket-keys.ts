import { readQueueKey } from '../message/recipient-group.js';

/** By all relays together; the name of none. */
export const ALL_RELAYS = '';

/**
 * The buckets that mails of a queue pay from, whichever relay they go by. `lane:` is the pace its receiver was found to bear; a
 * receiver with a queue of its own pays for the pace of all others as well, which is that of the relay to them.
 */
export function bucketKeysOf(queueKey: string): string[] {
  const queue = readQueueKey(queueKey);
  const shared = queue === null ? [] : [`group:${queue.group}`, `sender:${queue.senderDomain}`];
  return ['global', ...shared, ...paceKeysOf(queueKey, null)];
}

/**
 * The paces among them that were found by one of several relays: receivers go by who hands them a mail, and what one relay's
 * address is told says nothing of another's. Null: of the only relay.
 */
export function paceKeysOf(queueKey: string, relay: string | null): string[] {
  const parent = queueOfAll(queueKey);
  return [...(parent === null ? [] : [parent]), queueKey].map((queue) => paceKey(queue, relay));
}

export function paceKey(queueKey: string, relay: string | null): string {
  return relay === null ? `lane:${queueKey}` : `lane:${queueKey}@${relay}`;
}

/** Null for any other bucket. */
export function readPaceKey(key: string): { queueKey: string; relay: string | null } | null {
  if (!key.startsWith('lane:')) return null;
  const queueAndRelay = key.slice('lane:'.length);
  const at = queueAndRelay.indexOf('@');
  if (at < 0) return { queueKey: queueAndRelay, relay: null };
  return { queueKey: queueAndRelay.slice(0, at), relay: queueAndRelay.slice(at + 1) };
}

/** The queue of all others that a receiver's own queue was taken from; null for any other queue. */
export function queueOfAll(queueKey: string): string | null {
  const queue = readQueueKey(queueKey);
  return queue?.receiver === undefined ? null : `${queue.senderDomain}|${queue.group}`;
}
