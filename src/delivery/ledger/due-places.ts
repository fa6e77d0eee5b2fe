/** What is due in a queue at one priority, counted up to as many as are asked for at once. */
export interface DuePlace {
  queueKey: string;
  priority: number;
  due: number;
}

/** What a worker takes of it. */
export interface PlaceWant {
  queueKey: string;
  priority: number;
  limit: number;
}

/** To ask what may go of each: where one mail is to try the relay, those first in line must not use up what is allowed. */
export function oneOfEach(places: readonly DuePlace[]): DuePlace[] {
  return places.map((place) => ({ ...place, due: 1 }));
}

/**
 * Each place whose queue may send anything: a single mail is to try the relay, and any that it has not put off will do,
 * whatever stands before it. `placesWanted` would ask for the first priority of a queue alone.
 */
export function anyPlace(places: readonly DuePlace[], allowed: ReadonlyMap<string, number>): PlaceWant[] {
  return places
    .filter(({ queueKey }) => (allowed.get(queueKey) ?? 0) > 0)
    .map(({ queueKey, priority, due }) => ({ queueKey, priority, limit: due }));
}

/** The mails that a queue is allowed, from its first priority on. `places` in the order of their priorities. */
export function placesWanted(places: readonly DuePlace[], allowed: ReadonlyMap<string, number>): PlaceWant[] {
  const left = new Map(allowed);
  const wanted: PlaceWant[] = [];
  for (const { queueKey, priority, due } of places) {
    const limit = Math.min(due, left.get(queueKey) ?? 0);
    if (limit <= 0) continue;
    left.set(queueKey, (left.get(queueKey) ?? 0) - limit);
    wanted.push({ queueKey, priority, limit });
  }
  return wanted;
}
