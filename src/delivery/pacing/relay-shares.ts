import { ALL_RELAYS, bucketKeysOf, paceKey, paceKeysOf, readPaceKey } from './bucket-keys.js';
import { available, giveBack, rateOf, spend, type Bucket } from './token-bucket.js';
import { chooseRelay } from '../relays/relay-choice.js';

/** A relay that mails may go by, with its share of them. */
export interface Share {
  name: string;
  weight: number;
}

/** How many mails of each queue may go now, and of a queue that some relay is slower in, by which each of them. */
export interface Allowed {
  granted: Map<string, number>;
  by: Map<string, string[]>;
}

/** As `bucketKeysOf`, with those of {@link joined}. */
export function joinedKeysOf(queueKey: string): string[] {
  return [...bucketKeysOf(queueKey), ...paceKeysOf(queueKey, ALL_RELAYS)];
}

/**
 * The buckets without those of single relays: what these bear together in a queue is one, where each of them was asked to be
 * slower in it. As long as one was not, all may go by that.
 */
export function joined(buckets: readonly Bucket[], relays: readonly Pick<Share, 'name'>[]): Bucket[] {
  const names = new Set(relays.map(({ name }) => name));
  const byQueue = new Map<string, Bucket[]>();
  const others: Bucket[] = [];
  for (const bucket of buckets) {
    const pace = readPaceKey(bucket.key);
    if (pace === null || pace.relay === null) others.push(bucket);
    else if (names.has(pace.relay))
      byQueue.set(pace.queueKey, [...(byQueue.get(pace.queueKey) ?? []), bucket]);
  }
  const together = [...byQueue].flatMap(([queueKey, paces]): Bucket[] => {
    const [first] = paces;
    if (first === undefined || paces.length < names.size) return [];
    const sum = (of: (pace: Bucket) => number): number => paces.reduce((all, pace) => all + of(pace), 0);
    const ratePerSecond = sum((pace) => rateOf(pace) ?? 0);
    const tokens = sum((pace) => available(pace));
    return [{ ...first, key: paceKey(queueKey, ALL_RELAYS), ratePerSecond, slowFactor: 1, tokens }];
  });
  return [...others, ...together];
}

/**
 * Says of each mail of a queue that a relay is slower in which relay it goes by, and takes its token there: as the weights have
 * it, among those that bear one more. What one does not bear goes by the others. `buckets`: as they are after `granted` was
 * taken from those that all relays share; they come back as they are after it. A mail that none bears is not granted.
 */
export function sharedOut(
  granted: ReadonlyMap<string, number>,
  { buckets, relays, chance }: { buckets: readonly Bucket[]; relays: readonly Share[]; chance: () => number },
): Allowed & { buckets: Bucket[] } {
  const now = new Map(buckets.map((bucket) => [bucket.key, bucket]));
  const known = (keys: readonly string[]): Bucket[] => keys.flatMap((key) => now.get(key) ?? []);
  const allowed: Allowed = { granted: new Map(granted), by: new Map() };
  for (const [queueKey, count] of granted) {
    if (relays.every(({ name }) => known(paceKeysOf(queueKey, name)).length === 0)) continue;
    const by: string[] = [];
    for (let mail = 0; mail < count; mail++) {
      const candidates = relays.map((relay) => ({
        ...relay,
        usable: known(paceKeysOf(queueKey, relay.name)).every((pace) => available(pace) >= 1),
      }));
      const relay = chooseRelay(candidates, chance());
      if (relay === null) break;
      for (const pace of known(paceKeysOf(queueKey, relay.name))) now.set(pace.key, spend(pace, 1));
      by.push(relay.name);
    }
    for (const bucket of known(bucketKeysOf(queueKey)))
      if (by.length < count) now.set(bucket.key, giveBack(bucket, count - by.length, bucket.refilledAtMs));
    if (by.length > 0) allowed.by.set(queueKey, by);
    if (by.length > 0) allowed.granted.set(queueKey, by.length);
    else allowed.granted.delete(queueKey);
  }
  return { ...allowed, buckets: [...now.values()] };
}
