import { ALL_RELAYS, bucketKeysOf, paceKey, paceKeysOf, readPaceKey } from './bucket-keys.js';
import { available, giveBack, rateOf, spend, urgencyOf, type Bucket, type Urgency } from './token-bucket.js';
import type { DuePlace } from '../ledger/due-places.js';
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

/** Whether so many mails wait for the lanes of a relay that no more of the queue are to be claimed for it. */
export type Crowded = (queueKey: string, relay: string, urgency: Urgency) => boolean;

/** Where mails may be claimed now, and by which relays those of a queue may go. */
export interface Room<P> {
  places: P[];
  relaysOf: (queueKey: string) => readonly Share[];
  /** Some have fewer than all. */
  isCrowded: boolean;
}

/**
 * Leaves out relays for which too many wait. Of a queue that has fewer for its bulk mails, those that somebody waits for are
 * claimed first, and alone: there is more room for them. `isPaced`: some relay is slower in the queue; the mails of others
 * wait for no relay.
 */
export function withRoom<P extends Pick<DuePlace, 'queueKey' | 'priority'>>(
  places: readonly P[],
  relays: readonly Share[],
  { isPaced, crowded }: { isPaced: (queueKey: string) => boolean; crowded: Crowded },
): Room<P> {
  const fewer = new Map<string, { urgency: Urgency; relays: Share[] }>();
  for (const queueKey of new Set(places.map((place) => place.queueKey))) {
    const roomFor = (urgency: Urgency): Share[] =>
      relays.filter(({ name }) => !crowded(queueKey, name, urgency));
    if (!isPaced(queueKey) || roomFor('bulk').length === relays.length) continue;
    const isUrgent = places.some((place) => place.queueKey === queueKey && isAwaited(place));
    const urgency = isUrgent ? 'urgent' : 'bulk';
    fewer.set(queueKey, { urgency, relays: roomFor(urgency) });
  }
  return {
    places: places.filter(({ queueKey, priority }) => {
      const room = fewer.get(queueKey);
      return (
        room === undefined ||
        (room.relays.length > 0 && (room.urgency === 'urgent') === isAwaited({ priority }))
      );
    }),
    relaysOf: (queueKey) => fewer.get(queueKey)?.relays ?? relays,
    isCrowded: fewer.size > 0,
  };
}

function isAwaited({ priority }: Pick<DuePlace, 'priority'>): boolean {
  return urgencyOf(priority) !== 'bulk';
}

/** As `bucketKeysOf`, with those of {@link joined}. */
export function joinedKeysOf(queueKey: string): string[] {
  return [...bucketKeysOf(queueKey), ...paceKeysOf(queueKey, ALL_RELAYS)];
}

/**
 * The buckets without those of single relays: what these bear together in a queue is one, where each of them was asked to be
 * slower in it. As long as one was not, all may go by that. `relaysOf`: those that the mails of a queue may go by.
 */
export function joined(
  buckets: readonly Bucket[],
  relaysOf: (queueKey: string) => readonly Pick<Share, 'name'>[],
): Bucket[] {
  const byQueue = new Map<string, Bucket[]>();
  const others: Bucket[] = [];
  for (const bucket of buckets) {
    const pace = readPaceKey(bucket.key);
    if (pace === null || pace.relay === null) others.push(bucket);
    else if (relaysOf(pace.queueKey).some(({ name }) => name === pace.relay))
      byQueue.set(pace.queueKey, [...(byQueue.get(pace.queueKey) ?? []), bucket]);
  }
  const together = [...byQueue].flatMap(([queueKey, paces]): Bucket[] => {
    const [first] = paces;
    if (first === undefined || paces.length < relaysOf(queueKey).length) return [];
    const sum = (of: (pace: Bucket) => number): number => paces.reduce((all, pace) => all + of(pace), 0);
    const ratePerSecond = sum((pace) => rateOf(pace) ?? 0);
    const tokens = sum((pace) => available(pace));
    return [{ ...first, key: paceKey(queueKey, ALL_RELAYS), ratePerSecond, slowFactor: 1, tokens }];
  });
  return [...others, ...together];
}

/**
 * Says of each mail of a queue that a relay is slower in which relay it goes by, and takes its token there: as the weights have
 * it, among those of `relaysOf` that bear one more. What one does not bear goes by the others. `buckets`: as they are after `granted` was
 * taken from those that all relays share; they come back as they are after it. A mail that none bears is not granted.
 */
export function sharedOut(
  granted: ReadonlyMap<string, number>,
  {
    buckets,
    relays,
    relaysOf,
    chance,
  }: {
    buckets: readonly Bucket[];
    relays: readonly Share[];
    relaysOf: Room<unknown>['relaysOf'];
    chance: () => number;
  },
): Allowed & { buckets: Bucket[] } {
  const now = new Map(buckets.map((bucket) => [bucket.key, bucket]));
  const known = (keys: readonly string[]): Bucket[] => keys.flatMap((key) => now.get(key) ?? []);
  const allowed: Allowed = { granted: new Map(granted), by: new Map() };
  for (const [queueKey, count] of granted) {
    if (relays.every(({ name }) => known(paceKeysOf(queueKey, name)).length === 0)) continue;
    const by: string[] = [];
    for (let mail = 0; mail < count; mail++) {
      const candidates = relaysOf(queueKey).map((relay) => ({
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
