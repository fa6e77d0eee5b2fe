import { readLaneKey } from './recipient-group.js';

/** The buckets that mails of a lane pay from. `lane:` is the pace its receiver was found to bear. */
export function bucketKeysOf(laneKey: string): string[] {
  const lane = readLaneKey(laneKey);
  const shared = lane === null ? [] : [`group:${lane.group}`, `sender:${lane.senderDomain}`];
  return ['global', ...shared, `lane:${laneKey}`];
}
