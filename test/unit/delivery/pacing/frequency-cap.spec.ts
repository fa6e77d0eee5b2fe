import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { delayed, type FrequencyCap } from '../../../../src/delivery/pacing/frequency-cap.js';

const NOW = new Date('2026-03-02T09:00:00Z');
const HOUR_MS = 3_600_000;
const hoursAgo = (...hours: number[]): Date[] => hours.map((ago) => new Date(NOW.getTime() - ago * HOUR_MS));
const until = (count: number, sent: Date[], cap: Partial<FrequencyCap>): (number | null)[] => {
  const mails = Array.from({ length: count }, (_, index) => ({
    ...{ id: String(index), subscriberId: '1', expiresAt: null },
  }));
  const held = delayed(mails, new Map([['1', sent]]), { perDay: null, perWeek: null, ...cap }, NOW);
  return mails.map(({ id }) => {
    const one = held.find((mail) => mail.id === id);
    return one ? (one.until.getTime() - NOW.getTime()) / HOUR_MS : null;
  });
};

describe('the cap on mails to one person', () => {
  it.each([
    ['nothing sent yet', 1, [], { perDay: 1 }, [null]],
    ['one today', 1, [3], { perDay: 1 }, [21]],
    ['one today, two allowed', 1, [3], { perDay: 2 }, [null]],
    ['one exactly a day ago', 1, [24], { perDay: 1 }, [null]],
    ['three at once', 3, [], { perDay: 1 }, [null, 24, 48]],
    ['three at once, two a day', 3, [], { perDay: 2 }, [null, null, 24]],
    ['the week is full', 1, [30, 60, 90], { perWeek: 3 }, [78]],
    ['day and week', 3, [30], { perDay: 1, perWeek: 2 }, [null, 138, 168]],
    ['no cap', 5, [1, 1, 1], {}, [null, null, null, null, null]],
  ])('%s', (_, count, sent, cap, expected) => {
    expect(until(count, hoursAgo(...sent), cap)).toEqual(expected);
  });

  it('is each person’s own, and says which limit it is', () => {
    const mails = ['1', '2', '1'].map((subscriberId, index) => ({
      ...{ id: String(index), subscriberId, expiresAt: null },
    }));
    expect(delayed(mails, new Map(), { perDay: 1, perWeek: null }, NOW)).toEqual([
      { id: '2', until: new Date(NOW.getTime() + 24 * HOUR_MS), reason: 'frequency cap: 1 a day' },
    ]);
  });

  it('leaves the place of one that is of no use by then to the next: it waited a day for a mail that never went', () => {
    const at = (hours: number): Date => new Date(NOW.getTime() + hours * HOUR_MS);
    const mails = [null, at(2), null].map((expiresAt, index) => ({
      ...{ id: String(index), subscriberId: '1', expiresAt },
    }));
    const held = delayed(mails, new Map(), { perDay: 1, perWeek: null }, NOW);
    expect(held.map(({ id, until: time }) => [id, time])).toEqual([
      ['1', at(24)],
      ['2', at(24)],
    ]);
  });

  it('lets no span hold more than it allows, and makes nothing wait longer than it must', () => {
    const past = fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 12 });
    const limits = fc.record({
      perDay: fc.integer({ min: 1, max: 4 }),
      perWeek: fc.integer({ min: 1, max: 8 }),
    });
    fc.assert(
      fc.property(past, limits, fc.integer({ min: 1, max: 8 }), (hours, cap, count) => {
        const sent = hoursAgo(...hours);
        const times = sent.map((at) => at.getTime());
        for (const wait of until(count, sent, cap)) {
          const at = NOW.getTime() + (wait ?? 0) * HOUR_MS;
          const within = (from: number, spanMs: number): number =>
            times.filter((time) => time > from - spanMs && time <= from).length;
          expect(within(at, 24 * HOUR_MS)).toBeLessThan(cap.perDay);
          expect(within(at, 168 * HOUR_MS)).toBeLessThan(cap.perWeek);
          if (wait !== null) {
            const before = at - 1;
            const full =
              within(before, 24 * HOUR_MS) >= cap.perDay || within(before, 168 * HOUR_MS) >= cap.perWeek;
            expect(full).toBe(true);
          }
          times.push(at);
        }
      }),
    );
  });
});
