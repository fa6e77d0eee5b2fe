import { describe, expect, it } from 'vitest';
import { startOf, type Split } from '../../../src/broadcasts/split.js';
import {
  AT_ONCE,
  beginOf,
  mailTime,
  spreadOffsetMs,
  timingAt,
  type BroadcastTiming,
} from '../../../src/broadcasts/timing.js';
import { localClockMs } from '../../../src/values/zoned-time.js';

const at = (text: string): Date => new Date(text);
const local = (
  atLocal: string,
  change: Partial<NonNullable<BroadcastTiming['local']>> = {},
  spreadMinutes = 0,
): BroadcastTiming => ({
  local: { atLocal, fallbackZone: 'UTC', ifPassed: 'nextDay', ...change },
  spreadMinutes,
});
const due = (
  timing: BroadcastTiming,
  timeZone: string | null,
  given: { begins?: string; starts?: string; position?: number } = {},
): ReturnType<typeof mailTime> => {
  const { begins = '2026-03-04T19:30:00Z', starts = begins, position = 0 } = given;
  return mailTime(timing, { scheduledAt: at(begins), startedAt: at(starts) }, { timeZone, position });
};

describe('the local hour of a recipient', () => {
  it.each([
    ['Pacific/Kiritimati', '2026-03-05T09:30', '2026-03-04T19:30:00.000Z'],
    ['Asia/Kolkata', '2026-03-05T09:30', '2026-03-05T04:00:00.000Z'],
    ['Europe/Vienna', '2026-03-05T09:30', '2026-03-05T08:30:00.000Z'],
    ['Etc/GMT+12', '2026-03-05T09:30', '2026-03-05T21:30:00.000Z'],
    // Clocks go from 2:00 to 3:00: the end of the gap.
    ['Europe/Vienna', '2026-03-29T02:30', '2026-03-29T01:00:00.000Z'],
    ['America/New_York', '2026-03-08T02:30', '2026-03-08T07:00:00.000Z'],
    // Clocks go from 3:00 back to 2:00: the first of the two.
    ['Europe/Vienna', '2026-10-25T02:30', '2026-10-25T00:30:00.000Z'],
    ['Australia/Lord_Howe', '2026-10-04T02:15', '2026-10-03T15:30:00.000Z'],
  ])('of %s at %s is %s', (zone, atLocal, expected) => {
    expect(due(local(atLocal), zone)).toEqual({
      dueAt: at(expected),
      plannedFor: null,
      tooLate: false,
      fellBack: false,
      passed: false,
    });
  });

  it.each([[null], ['Mars/Olympus'], ['+02:00']])(
    'of somebody in the zone %s is that of the fallback',
    (zone) => {
      const { dueAt, fellBack } = due(local('2026-03-05T09:30', { fallbackZone: 'Asia/Tokyo' }), zone);
      expect([dueAt, fellBack]).toEqual([at('2026-03-05T00:30:00Z'), true]);
    },
  );

  it('that is over when it begins is the same hour a day later, at once, or never, as the owner says', () => {
    const begins = '2026-03-05T06:00:00Z';
    const passed = (ifPassed: 'nextDay' | 'send' | 'skip'): unknown =>
      due(local('2026-03-05T09:30', { ifPassed }), 'Asia/Kolkata', { begins });
    expect(passed('nextDay')).toMatchObject({
      dueAt: at('2026-03-06T04:00:00Z'),
      tooLate: false,
      passed: true,
    });
    expect(passed('send')).toMatchObject({ dueAt: at(begins), tooLate: false, passed: true });
    expect(passed('skip')).toMatchObject({ dueAt: at('2026-03-05T04:00:00Z'), tooLate: true, passed: true });
    expect(due(local('2026-03-05T09:30'), 'Europe/Vienna', { begins }).passed).toBe(false);
  });

  it('of the next day is read on that day’s clock, over the change to summer time', () => {
    const { dueAt } = due(local('2026-03-28T09:30'), 'Europe/Vienna', { begins: '2026-03-28T12:00:00Z' });
    expect(dueAt).toEqual(at('2026-03-29T07:30:00Z'));
  });

  it('is what every clock on earth shows, on each day of a year, when the mail is due', () => {
    const zones = Intl.supportedValuesOf('timeZone').filter((_, place) => place % 9 === 0);
    for (let day = 0; day < 365; day += 7) {
      const reading = Date.UTC(2026, 0, 1 + day, 9, 30);
      const timing = local(new Date(reading).toISOString().slice(0, 16));
      for (const zone of zones) {
        const begins = new Date(reading - 14 * 3_600_000).toISOString();
        const { dueAt, passed } = due(timing, zone, { begins });
        expect(localClockMs(dueAt.getTime(), zone)).toBe(reading);
        expect(passed).toBe(false);
      }
    }
  });

  it.each([['2026-02-30T09:30'], ['2026-13-01T09:30'], ['2026-03-05T24:30'], ['tomorrow']])(
    'is refused as %s',
    (atLocal) => {
      expect(() =>
        beginOf(local(atLocal), { at: null, now: at('2026-01-01T00:00:00Z'), expiresAt: null }),
      ).toThrow(/atLocal: .*such as 2026-03-05T09:30/);
    },
  );
});

describe('a planner that comes a few seconds after the hour at which it begins', () => {
  const given = { begins: '2026-03-05T08:30:00Z', starts: '2026-03-05T08:30:04Z' };
  it.each([
    ['of one clock', local('2026-03-05T09:30', { timezone: 'Europe/Vienna' }), 'Asia/Tokyo'],
    ['of the first reader’s clock', local('2026-03-05T22:30'), 'Pacific/Kiritimati'],
  ])('puts nobody %s off to the next day', (_, timing, zone) => {
    expect(due(timing, zone, given)).toMatchObject({ dueAt: at(given.begins), passed: false });
  });
});

describe('the beginning of a broadcast', () => {
  const now = at('2026-03-04T12:00:00Z');
  it('is the first clock on earth that shows the hour, or now when that one is past it', () => {
    expect(beginOf(local('2026-03-05T09:30'), { at: null, now, expiresAt: null })).toEqual(
      at('2026-03-04T19:30:00Z'),
    );
    expect(beginOf(local('2026-03-04T09:30'), { at: null, now, expiresAt: null })).toEqual(now);
    expect(beginOf(AT_ONCE, { at: null, now, expiresAt: null })).toEqual(now);
  });

  it('is refused when the hour is over everywhere, or some could not get it before it expires', () => {
    expect(() => beginOf(local('2026-03-03T09:30'), { at: null, now, expiresAt: null })).toThrow(
      'that hour has passed everywhere on earth',
    );
    expect(() =>
      beginOf(local('2026-03-05T09:30', {}, 60), { at: null, now, expiresAt: at('2026-03-05T22:30:00Z') }),
    ).toThrow('it would expire before the last of its mails is due, at 2026-03-05T22:30:00.000Z');
    expect(() => beginOf(AT_ONCE, { at: null, now, expiresAt: now })).toThrow(
      'it would expire before it starts',
    );
    expect(() => beginOf(AT_ONCE, { at: at('2026-03-04T11:58:59Z'), now, expiresAt: null })).toThrow(
      'at: 2026-03-04T11:58:59.000Z has passed',
    );
    expect(beginOf(AT_ONCE, { at: at('2026-03-04T11:59:30Z'), now, expiresAt: null })).toEqual(
      at('2026-03-04T11:59:30Z'),
    );
  });

  it.each([
    [
      'a split test of which most readers would get nothing',
      local('2026-03-05T09:30', { ifPassed: 'skip' }),
      240,
      null,
    ],
    ['a split test that is decided after the end', AT_ONCE, 240, '2026-03-04T16:00:00Z'],
    [
      'a spread one whose rest is due after the end',
      { ...AT_ONCE, spreadMinutes: 60 },
      240,
      '2026-03-04T17:30:00Z',
    ],
    ['one whose next day comes after the end', local('2026-03-04T09:30'), undefined, '2026-03-05T12:00:00Z'],
    [
      'a split test whose next day comes after the end',
      local('2026-03-05T09:30'),
      240,
      '2026-03-06T22:00:00Z',
    ],
  ] as const)('is refused for %s', (_, timing, waitMinutes, end) => {
    const expiresAt = end === null ? null : at(end);
    expect(() => beginOf(timing, { at: null, now, expiresAt, waitMinutes })).toThrow(/ifPassed|expire/);
    if (expiresAt === null) return;
    const later = new Date(expiresAt.getTime() + 14 * 3_600_000);
    expect(() => beginOf(timing, { at: null, now, expiresAt: later, waitMinutes })).not.toThrow();
  });
});

describe('the spread', () => {
  it.each([[7], [40], [1_000], [40_000]])(
    'leaves even gaps over %i recipients, whoever comes first',
    (count) => {
      const minutes = 240;
      const parts = 8;
      const perPart = Array.from({ length: parts }, () => 0);
      for (let position = 0; position < count; position++) {
        const part = Math.floor((spreadOffsetMs(position, minutes) / (minutes * 60_000)) * parts);
        perPart[part] = (perPart[part] ?? 0) + 1;
      }
      // Nothing before the beginning or after the end would show as a part more.
      expect(perPart).toHaveLength(parts);
      // Chance would stray by the square root: 70 of 5,000.
      for (const one of perPart) expect(Math.abs(one - count / parts)).toBeLessThanOrEqual(3);
    },
  );

  it('comes on top of the hour, and begins anew for a broadcast that begins late, judged by when it was due', () => {
    const spread: BroadcastTiming = { local: null, spreadMinutes: 60 };
    const offset = spreadOffsetMs(3, 60);
    const begins = '2026-03-04T12:00:00Z';
    expect(due(spread, null, { begins, position: 3 }).dueAt).toEqual(new Date(at(begins).getTime() + offset));
    const late = due(spread, null, { begins, starts: '2026-03-04T20:00:00Z', position: 3 });
    expect(late.dueAt).toEqual(new Date(at('2026-03-04T20:00:00Z').getTime() + offset));
    expect(late.plannedFor).toEqual(new Date(at(begins).getTime() + offset));
    const hour = due(local('2026-03-05T09:30', {}, 60), 'UTC', { begins, position: 3 });
    expect(hour.dueAt).toEqual(new Date(at('2026-03-05T09:30:00Z').getTime() + offset));
  });
});

describe('the hours of arms', () => {
  const now = at('2026-03-04T12:00:00Z');
  const start = { at: null, now, expiresAt: null, waitMinutes: 240, arms: [{}, { at: '20:00' }] };

  it('are read on the same day on each reader’s clock, and the earliest begins', () => {
    const timing = local('2026-03-05T09:30');
    expect(timingAt(timing, { at: '20:00' }).local?.atLocal).toBe('2026-03-05T20:00');
    expect(timingAt(timing, undefined)).toBe(timing);
    expect(beginOf(timing, start)).toEqual(at('2026-03-04T19:30:00Z'));
    expect(beginOf(timing, { ...start, arms: [{ at: '06:00' }, { at: '20:00' }] })).toEqual(
      at('2026-03-04T16:00:00Z'),
    );
  });

  it('may all be those of one clock', () => {
    const timing = local('2026-03-05T09:30', { timezone: 'Europe/Vienna' });
    expect(beginOf(timing, start)).toEqual(at('2026-03-05T08:30:00Z'));
    for (const zone of ['Asia/Tokyo', null, 'America/New_York'])
      expect(due(timingAt(timing, { at: '20:00' }), zone)).toMatchObject({
        ...{ dueAt: at('2026-03-05T19:00:00Z'), fellBack: false },
      });
    expect(() => beginOf(local('2026-03-04T12:30', { timezone: 'Europe/Vienna' }), start)).toThrow(
      'atLocal: that hour has passed in Europe/Vienna',
    );
  });

  it('do not outlive the end of the broadcast: that of the last arm, the wait and a day for the rest', () => {
    const timing = local('2026-03-05T09:30', { timezone: 'UTC' });
    const last = at('2026-03-07T00:00:00Z');
    expect(() => beginOf(timing, { ...start, expiresAt: last })).toThrow(
      'before the last of its mails is due, at 2026-03-07T00:00:00.000Z',
    );
    expect(beginOf(timing, { ...start, expiresAt: new Date(last.getTime() + 1) })).toEqual(
      at('2026-03-05T09:30:00Z'),
    );
  });

  it('leave the rest a day more before the end, where what a stopped arm has not sent may go a day later', () => {
    const timing = local('2026-03-05T09:30', { timezone: 'UTC' });
    const expiresAt = at('2026-03-08T00:00:00Z');
    const guarded = { ...start, hasRails: true };
    expect(() => beginOf(timing, { ...guarded, expiresAt })).toThrow('is due, at 2026-03-08T00:00:00.000Z');
    expect(beginOf(timing, { ...guarded, expiresAt: new Date(expiresAt.getTime() + 1) })).toEqual(
      beginOf(timing, start),
    );
    const split: Split = {
      ...{ arms: [{}, { at: '20:00' }], testPercent: 20, waitMinutes: 240, judge: 'clicks' },
      guardRails: { unsubscribes: '2%' },
    };
    expect(startOf({ split, expiresAt })).toMatchObject({ hasRails: true, arms: [{}, { at: '20:00' }] });
  });

  it.each([
    ['atLocal', AT_ONCE, /^atLocal: arms .* give atLocal, such as/],
    ['spreadMinutes', local('2026-03-05T09:30', {}, 60), /^spreadMinutes: .* leave it out, or give 0/],
    ['ifPassed', local('2026-03-05T09:30', { ifPassed: 'send' }), /^ifPassed: .* only nextDay is allowed/],
  ])('are refused beside what says otherwise, naming %s', (field, timing, message) => {
    const begin = (): Date => beginOf(timing, start);
    expect(begin).toThrow(message);
    expect(begin).toThrow(expect.objectContaining({ code: 'BROADCAST_TIMING_INVALID', facts: { field } }));
  });
});

describe('the delays of arms', () => {
  const later = { delayMinutes: 90 };
  const moments = { scheduledAt: at('2026-03-05T09:00:00Z'), startedAt: at('2026-03-05T09:00:00Z') };

  it('count from when each mail would be due without them: at once, in a spread, at an hour', () => {
    const one = { timeZone: 'Europe/Vienna', position: 3 };
    for (const timing of [AT_ONCE, { ...AT_ONCE, spreadMinutes: 600 }, local('2026-03-06T08:00')]) {
      const without = mailTime(timing, moments, one).dueAt.getTime();
      expect(mailTime(timingAt(timing, later), moments, one).dueAt).toEqual(new Date(without + 90 * 60_000));
    }
  });

  it('do not put off the beginning, and the end must leave them time, for the rest once more', () => {
    const start = { at: moments.scheduledAt, now: moments.scheduledAt, waitMinutes: 60, arms: [{}, later] };
    // 90 minutes, an hour's wait, and 90 minutes for the rest.
    const last = at('2026-03-05T13:00:00Z');
    expect(() => beginOf(AT_ONCE, { ...start, expiresAt: last })).toThrow(`is due, at ${last.toISOString()}`);
    expect(beginOf(AT_ONCE, { ...start, expiresAt: new Date(last.getTime() + 1) })).toEqual(start.at);
    expect(() => beginOf(AT_ONCE, { ...start, expiresAt: last, priceEnds: true })).toThrow(
      expect.objectContaining({ facts: { field: 'offer.until' } }),
    );
  });
});
