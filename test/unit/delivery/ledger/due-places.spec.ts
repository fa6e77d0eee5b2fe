import { describe, expect, it } from 'vitest';
import { anyPlace, oneOfEach, placesWanted } from '../../../../src/delivery/ledger/due-places.js';
import { allocate } from '../../../../src/delivery/pacing/token-bucket.js';

const PLACES = [
  { queueKey: 'a', priority: 0, due: 3 },
  { queueKey: 'a', priority: 5, due: 256 },
  { queueKey: 'a', priority: 9, due: 1 },
  { queueKey: 'b', priority: 5, due: 7 },
];

describe('what is due, by queue and priority', () => {
  it('goes by priority: a queue takes what it is allowed from its first on', () => {
    const wanted = (a: number, b?: number) =>
      placesWanted(PLACES, new Map([['a', a], ...(b === undefined ? [] : [['b', b] as const])])).map(
        ({ queueKey, priority, limit }) => `${queueKey}${priority}: ${limit}`,
      );
    expect(wanted(2)).toEqual(['a0: 2']);
    expect(wanted(10)).toEqual(['a0: 3', 'a5: 7']);
    expect(wanted(260, 4)).toEqual(['a0: 3', 'a5: 256', 'a9: 1', 'b5: 4']);
    expect(placesWanted(PLACES, new Map())).toEqual([]);
  });

  it('is any place when a relay is to be tried: what it puts off, at a better priority, hid all that stood behind', () => {
    const wanted = anyPlace(PLACES, new Map([['a', 2]]));
    expect(wanted).toEqual([
      { queueKey: 'a', priority: 0, limit: 3 },
      { queueKey: 'a', priority: 5, limit: 256 },
      { queueKey: 'a', priority: 9, limit: 1 },
    ]);
    const none = { buckets: [], bucketsOf: () => [] };
    const { granted } = allocate(oneOfEach(PLACES), 256, none);
    expect(granted).toEqual(new Map(Object.entries({ a: 3, b: 1 })));
  });
});
