import fc from 'fast-check';
import { DateTime } from 'luxon';
import { describe, expect, it } from 'vitest';
import {
  canonicalTimeZone,
  instantOfLocalMs,
  isTimeZone,
  localClockMs,
  parseLocalTime,
  startOfLocalDay,
  steadyLocalClockMs,
  timeZoneOr,
  weekdayIndex,
  WEEKDAYS,
} from '../../../src/values/zoned-time.js';
import { zoneOffsets } from '../../../src/values/zone-offsets.js';

const zone = fc.constantFrom(...Intl.supportedValuesOf('timeZone'));
const instant = fc.integer({ min: Date.UTC(2024, 0), max: Date.UTC(2031, 0) });

describe('time zone names', () => {
  it('are what Intl knows, old names and any case included', () => {
    expect(
      ['Europe/Berlin', 'Europe/Kiev', 'Europe/Kyiv', 'us/eastern', 'UTC', 'Etc/GMT+5'].filter(isTimeZone),
    ).toHaveLength(6);
    expect(
      ['', 'Berlin', '+02:00', 'Europe/Atlantis', ' UTC', 'UTC\n', 'x'.repeat(500)].filter(isTimeZone),
    ).toEqual([]);
  });

  it('get one spelling, so that two aliases of a zone are one zone', () => {
    expect(canonicalTimeZone('us/eastern')).toBe('America/New_York');
    expect(canonicalTimeZone('Europe/Kyiv')).toBe(canonicalTimeZone('Europe/Kiev'));
  });

  it('fall back when missing or unknown, and say so', () => {
    expect(timeZoneOr('europe/berlin', 'UTC')).toEqual({ zone: 'Europe/Berlin', fellBack: false });
    expect(timeZoneOr('Europe/Atlantis', 'UTC')).toEqual({ zone: 'UTC', fellBack: true });
    expect(timeZoneOr(null, 'Asia/Tokyo')).toEqual({ zone: 'Asia/Tokyo', fellBack: true });
  });

  it('are refused with a code where a clock is needed', () => {
    expect(() => localClockMs(0, 'Europe/Atlantis')).toThrow(
      expect.objectContaining({ code: 'TIME_ZONE_INVALID' }),
    );
  });
});

describe('local times', () => {
  it('are minutes of the day', () => {
    expect(['00:00', '09:30', '23:59'].map(parseLocalTime)).toEqual([0, 570, 1439]);
  });

  it.each(['9:30', '24:00', '09:60', '09:30:00', ' 09:30', '09.30', '', '٠٩:٣٠'])('%j is refused', (text) => {
    expect(() => parseLocalTime(text)).toThrow(
      expect.objectContaining({
        code: 'LOCAL_TIME_INVALID',
        message: expect.stringContaining('00:00 to 23:59'),
      }),
    );
  });

  it.each([
    ['an ordinary day', '2024-06-01T12:00Z', '09:30', 'Europe/Berlin', '2024-06-01T07:30Z'],
    ['the local day, not the UTC one', '2024-06-01T23:00Z', '09:30', 'Europe/Berlin', '2024-06-02T07:30Z'],
    ['a skipped half past two', '2024-03-31T12:00Z', '02:30', 'Europe/Berlin', '2024-03-31T01:00Z'],
    ['a repeated half past two', '2024-10-27T12:00Z', '02:30', 'Europe/Berlin', '2024-10-27T00:30Z'],
    ['a gap of half an hour', '2024-10-05T20:00Z', '02:15', 'Australia/Lord_Howe', '2024-10-05T15:30Z'],
    ['a repeat of half an hour', '2024-04-06T20:00Z', '01:45', 'Australia/Lord_Howe', '2024-04-06T14:45Z'],
    ['a gap of two hours', '2024-03-31T12:00Z', '02:00', 'Antarctica/Troll', '2024-03-31T01:00Z'],
    ['a repeat of two hours', '2024-10-27T12:00Z', '01:30', 'Antarctica/Troll', '2024-10-26T23:30Z'],
    ['a midnight that is skipped', '2024-04-26T12:00Z', '00:00', 'Africa/Cairo', '2024-04-25T22:00Z'],
  ])('find their instant: %s', (...[, day, localTime, zoneName, expected]) => {
    const local =
      startOfLocalDay(localClockMs(Date.parse(day), zoneName)) + parseLocalTime(localTime) * 60_000;
    expect(new Date(instantOfLocalMs(local, zoneName))).toEqual(new Date(expected));
  });
});

describe('zone offsets', () => {
  it('are those of luxon, in every zone and next to every clock change', () => {
    fc.assert(
      fc.property(zone, instant, fc.integer({ min: -2, max: 2 }), (name, at, beside) => {
        const changedAt = zoneOffsets(name).nextChange(at, at + 40 * 86_400_000) ?? at;
        for (const probe of [at, changedAt + beside]) {
          const wanted = DateTime.fromMillis(probe, { zone: name });
          expect(zoneOffsets(name).at(probe)).toBe(wanted.offset * 60_000);
          expect(WEEKDAYS[weekdayIndex(localClockMs(probe, name))]).toBe(
            wanted.setLocale('en').weekdayShort?.toLowerCase(),
          );
        }
      }),
      { numRuns: 400 },
    );
  });

  it('hold for more years than the table keeps', () => {
    const offsets = zoneOffsets('Europe/Berlin');
    for (let day = 0; day < 4_100; day += 1) offsets.at(Date.UTC(2015, 0, day));
    expect(offsets.at(Date.UTC(2015, 0, 1))).toBe(3_600_000);
    expect(offsets.at(Date.UTC(2015, 6, 1))).toBe(7_200_000);
  });

  it('turn a local reading back into its first instant', () => {
    fc.assert(
      fc.property(zone, instant, (name, at) => {
        const back = instantOfLocalMs(localClockMs(at, name), name);
        expect(back).toBeLessThanOrEqual(at);
        expect(localClockMs(back, name)).toBe(localClockMs(at, name));
      }),
      { numRuns: 400 },
    );
  });

  it('never let the steady clock run backwards, even where midnight was repeated', () => {
    for (const [name, change] of [
      ['America/St_Johns', '2010-11-07T02:31Z'],
      ['Europe/Berlin', '2024-10-27T01:00Z'],
      ['Antarctica/Troll', '2024-10-27T01:00Z'],
    ] as const) {
      const start = Date.parse(change);
      let last = Number.NEGATIVE_INFINITY;
      for (let minute = -240; minute <= 240; minute += 1) {
        const reading = steadyLocalClockMs(start + minute * 60_000, name);
        expect(reading).toBeGreaterThanOrEqual(last);
        last = reading;
      }
      expect(last).toBe(localClockMs(start + 240 * 60_000, name));
    }
  });
});
