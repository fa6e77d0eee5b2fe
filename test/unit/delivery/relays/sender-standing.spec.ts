import { describe, expect, it } from 'vitest';
import { SenderStandings } from '../../../../src/delivery/relays/sender-standing.js';

const DAY_MS = 24 * 3_600_000;

describe('whose trouble a refusal at MAIL FROM is', () => {
  const standings = (): {
    seen: SenderStandings;
    refused: (who: string, nowMs: number, named?: boolean) => boolean;
  } => {
    const seen = new SenderStandings();
    return { seen, refused: (who, nowMs, named = false) => seen.refused(who, { named, nowMs }) };
  };

  it('is the sender’s, when the relay has taken mails of another since it began, until one of theirs is taken', () => {
    const { seen, refused } = standings();
    seen.taken('b', 1);
    expect(refused('a', 2)).toBe(false);
    seen.taken('b', 3);
    expect(refused('a', 4)).toBe(true);
    expect(refused('a', 5)).toBe(true);
    seen.taken('a', 6);
    expect(refused('a', 7)).toBe(false);
  });

  it('is the relay’s, when the others have it too or there are none', () => {
    const { seen, refused } = standings();
    seen.taken('a', 1);
    expect([refused('a', 2), refused('a', 3, true)]).toEqual([false, false]);
    seen.taken('b', 4);
    expect(refused('a', 5)).toBe(true);
    expect([refused('b', 6), refused('a', 7)]).toEqual([false, false]);
    expect([refused('b', 8, true), refused('a', 9, true)]).toEqual([false, false]);
  });

  it('is the sender’s at once, when the reply names the sender and another’s mails were taken of late', () => {
    const { seen, refused } = standings();
    seen.taken('b', 1);
    expect(refused('a', 2, true)).toBe(true);
    expect(refused('a', 2 + DAY_MS, true)).toBe(false);
  });

  it('is known by the sender’s domain until a mail of each is taken again', () => {
    const { seen, refused } = standings();
    refused('a@Example.org', 1);
    refused('b@example.org', 1);
    seen.taken('a@Example.org', 2);
    expect([seen.troubles('example.org'), seen.troubles('example.com')]).toEqual([true, false]);
    seen.taken('b@example.org', 3);
    expect(seen.troubles('example.org')).toBe(false);
  });

  it('begins anew a day after the last', () => {
    const { seen, refused } = standings();
    refused('a', 1);
    seen.taken('b', 2);
    expect(refused('a', 3)).toBe(true);
    expect(refused('a', 4 + DAY_MS)).toBe(false);
  });
});
