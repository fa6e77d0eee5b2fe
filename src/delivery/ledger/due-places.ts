/** What is due in a lane at one priority, counted up to as many as are asked for at once. */
export interface DuePlace {
  laneKey: string;
  priority: number;
  due: number;
}

/** What one lane has to send: `urgent` of its `ready` mails are waited for, and they are claimed first. */
export interface LaneReady {
  laneKey: string;
  ready: number;
  urgent?: number;
}

/** What a worker takes of it. */
export interface PlaceWant {
  laneKey: string;
  priority: number;
  limit: number;
}

/** What each lane has to send, counted up to `most`. At priority 0 somebody waits. */
export function lanesReady(places: readonly DuePlace[], most: number): LaneReady[] {
  const lanes = new Map<string, Required<LaneReady>>();
  for (const { laneKey, priority, due } of places) {
    const { ready, urgent } = lanes.get(laneKey) ?? { ready: 0, urgent: 0 };
    lanes.set(laneKey, {
      laneKey,
      ready: Math.min(most, ready + due),
      urgent: Math.min(most, urgent + (priority === 0 ? due : 0)),
    });
  }
  return [...lanes.values()];
}

/**
 * Each place whose lane may send anything: a single mail is to try the relay, and any that it has not put off will do,
 * whatever stands before it. `placesWanted` would ask for the first priority of a lane alone.
 */
export function anyPlace(places: readonly DuePlace[], allowed: ReadonlyMap<string, number>): PlaceWant[] {
  return places
    .filter(({ laneKey }) => (allowed.get(laneKey) ?? 0) > 0)
    .map(({ laneKey, priority, due }) => ({ laneKey, priority, limit: due }));
}

/** The mails that a lane is allowed, from its first priority on. `places` in the order of their priorities. */
export function placesWanted(places: readonly DuePlace[], allowed: ReadonlyMap<string, number>): PlaceWant[] {
  const left = new Map(allowed);
  const wanted: PlaceWant[] = [];
  for (const { laneKey, priority, due } of places) {
    const limit = Math.min(due, left.get(laneKey) ?? 0);
    if (limit <= 0) continue;
    left.set(laneKey, (left.get(laneKey) ?? 0) - limit);
    wanted.push({ laneKey, priority, limit });
  }
  return wanted;
}
