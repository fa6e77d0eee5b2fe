import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { everyDay } from '../../../../src/values/week-hours.js';
import {
  delayed,
  type FrequencyCap,
  type WaitingTurn,
} from '../../../../src/delivery/pacing/frequency-cap.js';

const NOW = new Date('2026-03-02T09:00:00Z');
const HOUR_MS = 3_600_000;
const hoursAgo = (...hours: number[]): Date[] => hours.map((ago) => new Date(NOW.getTime() - ago * HOUR_MS));
const MAIL = { subscriberId: '1', broadcastId: null, expiresAt: null, hours: null, priority: 5 };
const NONE = { sent: new Map(), waiting: new Map() };
const until = (
  count: number,
  sent: Date[],
  cap: Partial<FrequencyCap>,
  waiting: WaitingTurn[] = [],
): (number | null)[] => {
  const mails = Array.from({ length: count }, (_, index) => ({ ...MAIL, id: String(100 + index) }));
  const had = { sent: new Map([['1', sent]]), waiting: new Map([['1', waiting]]) };
  const held = delayed(mails, had, { perDay: null, perWeek: null, ...cap }, NOW);
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
      ...MAIL,
      id: String(index),
      subscriberId,
    }));
    expect(delayed(mails, NONE, { perDay: 1, perWeek: null }, NOW)).toEqual([
      { id: '2', until: new Date(NOW.getTime() + 24 * HOUR_MS), reason: 'frequency cap: 1 a day' },
    ]);
  });

  it('leaves the place of one that is of no use by then to the next: it waited a day for a mail that never went', () => {
    const at = (hours: number): Date => new Date(NOW.getTime() + hours * HOUR_MS);
    const mails = [null, at(2), null].map((expiresAt, index) => ({ ...MAIL, id: String(index), expiresAt }));
    const held = delayed(mails, NONE, { perDay: 1, perWeek: null }, NOW);
    expect(held.map(({ id, until: time }) => [id, time])).toEqual([
      ['1', at(24)],
      ['2', at(24)],
    ]);
  });

  const turn = (inHours: number, change: Partial<WaitingTurn> = {}): WaitingTurn => ({
    ...{ id: '1', priority: 5, at: new Date(NOW.getTime() + inHours * HOUR_MS) },
    ...change,
  });
  it.each([
    ['leave it to one that waits for it longer', 1, [30], { perDay: 1 }, [turn(3)], [27]],
    ['take it from one that was planned later', 1, [30], { perDay: 1 }, [turn(3, { id: '900' })], [null]],
    ['take it from one of less priority', 1, [30], { perDay: 1 }, [turn(3, { priority: 6 })], [null]],
    ['leave it to one of more', 1, [30], { perDay: 1 }, [turn(3, { id: '900', priority: 4 })], [27]],
    ['go where it is more than a day ahead', 1, [30], { perDay: 1 }, [turn(24)], [null]],
    ['go before it where it has its place all the same', 2, [22], { perDay: 2 }, [turn(3)], [null, 24]],
    ['leave it that of the week', 1, [30], { perWeek: 2 }, [turn(100)], [138]],
  ])('%s', (_, count, sent, cap, waiting, expected) => {
    expect(until(count, hoursAgo(...sent), cap, waiting)).toEqual(expected);
  });

  it.each<[string, Partial<typeof MAIL> | { expiresAt: Date; broadcastId: string }, number]>([
    ['when its hours are open', {}, 27],
    ['at another hour rather than never', { broadcastId: '1', expiresAt: turn(26).at }, 21],
  ])('lets one wait until it may go %s', (_, change, expected) => {
    const hours = { spans: everyDay(12 * 60, 22 * 60), timeZone: 'UTC' };
    const mails = [{ ...MAIL, id: '1', hours, ...change }];
    const held = delayed(
      mails,
      { ...NONE, sent: new Map([['1', hoursAgo(3)]]) },
      { perDay: 1, perWeek: null },
      NOW,
    );
    expect(held).toMatchObject([{ id: '1', until: turn(expected).at }]);
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
