import fc from 'fast-check';
import { DateTime } from 'luxon';
import { describe, expect, it } from 'vitest';
import {
  addDuration,
  DURATION_UNITS,
  durationMs,
  durationText,
  isExact,
  parseDuration,
} from '../../../src/values/duration.js';
import { localClockMs, steadyLocalClockMs } from '../../../src/values/zoned-time.js';

const zone = fc.constantFrom(...Intl.supportedValuesOf('timeZone'));
const instant = fc.integer({ min: Date.UTC(2024, 0), max: Date.UTC(2031, 0) });
const duration = fc.record({
  value: fc.integer({ min: 0, max: 120 }),
  unit: fc.constantFrom(...DURATION_UNITS),
});

describe('a duration', () => {
  it.each([
    ['2 days', 2, 'days'],
    ['1 day', 1, 'days'],
    ['90 minutes', 90, 'minutes'],
    ['1 hour', 1, 'hours'],
    ['3 weeks', 3, 'weeks'],
    ['2 months', 2, 'months'],
    ['72 hours', 72, 'hours'],
    ['0 days', 0, 'days'],
    [' 2 Days ', 2, 'days'],
  ])('%j is %i %s', (text, value, unit) => {
    expect(parseDuration(text)).toEqual({ value, unit });
  });

  it.each([
    '',
    '2',
    'days',
    'a day',
    '-1 days',
    '1.5 hours',
    '2d',
    '2 fortnights',
    '2 days 3 hours',
    '2 dayss',
  ])('%j is refused, naming the units', (text) => {
    expect(() => parseDuration(text)).toThrow(
      expect.objectContaining({
        code: 'DURATION_INVALID',
        message: expect.stringContaining('minutes, hours, days, weeks, months'),
      }),
    );
  });

  it.each([
    '121 months',
    '522 weeks',
    '3653 days',
    '87661 hours',
    '5259601 minutes',
    '9999999 days',
    '99999999 days',
  ])('%s is refused as too long', (text) => {
    expect(() => parseDuration(text)).toThrow('at most ten years');
  });

  it('is written as it is read', () => {
    fc.assert(
      fc.property(duration, (any) => {
        expect(parseDuration(durationText(any))).toEqual(any);
      }),
    );
    expect(durationText({ value: 1, unit: 'months' })).toBe('1 month');
  });
});

describe('adding a duration', () => {
  it.each([
    ['hours pass as they are', '2024-03-30T12:00Z', '24 hours', 'Europe/Berlin', '2024-03-31T12:00Z'],
    [
      'a day keeps the clock reading over the change',
      '2024-03-30T12:00Z',
      '1 day',
      'Europe/Berlin',
      '2024-03-31T11:00Z',
    ],
    ['and back in autumn', '2024-10-26T12:00Z', '1 day', 'Europe/Berlin', '2024-10-27T13:00Z'],
    [
      'a skipped reading runs after the gap',
      '2024-03-30T01:30Z',
      '1 day',
      'Europe/Berlin',
      '2024-03-31T01:00Z',
    ],
    ['a repeated reading is the first', '2024-10-26T00:30Z', '1 day', 'Europe/Berlin', '2024-10-27T00:30Z'],
    [
      'from the first pass of the repeated hour',
      '2024-10-27T00:30Z',
      '1 day',
      'Europe/Berlin',
      '2024-10-28T01:30Z',
    ],
    ['weeks are seven days', '2024-03-25T12:00Z', '1 week', 'Europe/Berlin', '2024-04-01T11:00Z'],
    ['a month', '2024-05-15T12:00Z', '1 month', 'UTC', '2024-06-15T12:00Z'],
    ['a month ends on its last day', '2024-01-31T12:00Z', '1 month', 'UTC', '2024-02-29T12:00Z'],
    ['a year of months', '2024-02-29T12:00Z', '12 months', 'UTC', '2025-02-28T12:00Z'],
    ['the month of the local day', '2024-01-31T23:30Z', '1 month', 'Asia/Tokyo', '2024-02-29T23:30Z'],
    ['nothing', '2024-10-27T01:30Z', '0 days', 'Europe/Berlin', '2024-10-27T01:30Z'],
  ])('%s', (...[, from, text, zoneName, expected]) => {
    expect(addDuration(new Date(from), parseDuration(text), zoneName)).toEqual(new Date(expected));
  });

  it('agrees with luxon in every zone, clock changes aside', () => {
    fc.assert(
      fc.property(zone, instant, duration, (name, from, any) => {
        const wanted = DateTime.fromMillis(from, { zone: name }).plus({ [any.unit]: any.value });
        const got = addDuration(new Date(from), any, name).getTime();
        const secondPass = steadyLocalClockMs(from, name) !== localClockMs(from, name);
        const skipped = wanted.minus({ [any.unit]: any.value }).toMillis() !== from;
        if (any.value > 0 && !isExact(any) && (secondPass || (skipped && any.unit !== 'months'))) return;
        if (any.unit === 'months' && Math.abs(got - wanted.toMillis()) <= 3_600_000 && skipped) return;
        expect(got).toBe(wanted.toMillis());
      }),
      { numRuns: 600 },
    );
  });

  it('never takes longer than the upper bound, and exactly that for hours and minutes', () => {
    fc.assert(
      fc.property(zone, instant, duration, (name, from, any) => {
        const took = addDuration(new Date(from), any, name).getTime() - from;
        expect(took).toBeLessThanOrEqual(durationMs(any));
        expect(took).toBeGreaterThanOrEqual(isExact(any) ? durationMs(any) : 0);
      }),
      { numRuns: 600 },
    );
  });
});
