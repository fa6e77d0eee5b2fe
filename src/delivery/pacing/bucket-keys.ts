import { readQueueKey } from '../message/recipient-group.js';

/**
 * The buckets that mails of a queue pay from. `lane:` is the pace its receiver was found to bear; a receiver with a queue of
 * its own pays for the pace of all others as well, which is that of the relay to them.
 */
export function bucketKeysOf(queueKey: string): string[] {
  const queue = readQueueKey(queueKey);
  const shared = queue === null ? [] : [`group:${queue.group}`, `sender:${queue.senderDomain}`];
  const parent = queueOfAll(queueKey);
  return ['global', ...shared, ...(parent === null ? [] : [`lane:${parent}`]), `lane:${queueKey}`];
}

/** The queue of all others that a receiver's own queue was taken from; null for any other queue. */
export function queueOfAll(queueKey: string): string | null {
  const queue = readQueueKey(queueKey);
  return queue?.receiver === undefined ? null : `${queue.senderDomain}|${queue.group}`;
}
