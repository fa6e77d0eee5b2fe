import { readLaneKey } from '../message/recipient-group.js';

/**
 * The buckets that mails of a lane pay from. `lane:` is the pace its receiver was found to bear; a receiver with a lane of
 * its own pays for the pace of all others as well, which is that of the relay to them.
 */
export function bucketKeysOf(laneKey: string): string[] {
  const lane = readLaneKey(laneKey);
  const shared = lane === null ? [] : [`group:${lane.group}`, `sender:${lane.senderDomain}`];
  const parent = laneOfAll(laneKey);
  return ['global', ...shared, ...(parent === null ? [] : [`lane:${parent}`]), `lane:${laneKey}`];
}

/** The lane of all others that a receiver's own lane was taken from; null for any other lane. */
export function laneOfAll(laneKey: string): string | null {
  const lane = readLaneKey(laneKey);
  return lane?.receiver === undefined ? null : `${lane.senderDomain}|${lane.group}`;
}
