import { describe, expect, it } from 'vitest';
import { anyPlace, lanesReady, placesWanted } from '../../../../src/delivery/ledger/due-places.js';

const PLACES = [
  { laneKey: 'a', priority: 0, due: 3 },
  { laneKey: 'a', priority: 5, due: 256 },
  { laneKey: 'a', priority: 9, due: 1 },
  { laneKey: 'b', priority: 5, due: 7 },
];

describe('what is due, by lane and priority', () => {
  it('is what a lane has to send, counted up to what is asked for at once', () => {
    expect(lanesReady(PLACES, 256)).toEqual([
      { laneKey: 'a', ready: 256, urgent: 3 },
      { laneKey: 'b', ready: 7, urgent: 0 },
    ]);
    expect(lanesReady([], 256)).toEqual([]);
  });

  it('goes by priority: a lane takes what it is allowed from its first on', () => {
    const wanted = (a: number, b?: number) =>
      placesWanted(PLACES, new Map([['a', a], ...(b === undefined ? [] : [['b', b] as const])])).map(
        ({ laneKey, priority, limit }) => `${laneKey}${priority}: ${limit}`,
      );
    expect(wanted(2)).toEqual(['a0: 2']);
    expect(wanted(10)).toEqual(['a0: 3', 'a5: 7']);
    expect(wanted(260, 4)).toEqual(['a0: 3', 'a5: 256', 'a9: 1', 'b5: 4']);
    expect(placesWanted(PLACES, new Map())).toEqual([]);
  });

  it('is any place when a relay is to be tried: what it puts off, at a better priority, hid all that stood behind', () => {
    const wanted = anyPlace(PLACES, new Map([['a', 2]]));
    expect(wanted).toEqual([
      { laneKey: 'a', priority: 0, limit: 3 },
      { laneKey: 'a', priority: 5, limit: 256 },
      { laneKey: 'a', priority: 9, limit: 1 },
    ]);
  });
});
