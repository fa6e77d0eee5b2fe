import fc from 'fast-check';
import { DateTime } from 'luxon';
import { describe, expect, it } from 'vitest';
import { beginOf, endOf, fieldMoment, parseMoment } from '../../../src/sequences/steps/moment.js';
import { nextDueAt } from '../../../src/sequences/steps/schedule.js';
import { localClockMs } from '../../../src/values/zoned-time.js';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const ZONES = Intl.supportedValuesOf('timeZone');
const zone = fc.constantFrom(...ZONES);
const day = fc
  .integer({ min: Date.UTC(2024, 0) / DAY_MS, max: Date.UTC(2030, 11) / DAY_MS })
  .map((count) => count * DAY_MS);
const text = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
const minute = fc.integer({ min: 0, max: 95 }).map((quarter) => quarter * 15);
const clock = (minutes: number): string =>
  `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;

/** The local reading is the one wanted, or the wanted one was skipped and this is the first instant after the gap. */
function expectReading(at: Date, wanted: number, name: string): void {
  const reading = localClockMs(at.getTime(), name);
  if (reading === wanted) return;
  expect(reading).toBeGreaterThan(wanted);
  expect(localClockMs(at.getTime() - 1, name)).toBeLessThan(wanted);
}

describe('dates on the clock of every zone', () => {
  it('begin and end at the hour that is written', () => {
    fc.assert(
      fc.property(zone, day, minute, (name, date, minutes) => {
        expectReading(beginOf(parseMoment(text(date)), name), date, name);
        expectReading(endOf(parseMoment(text(date)), name), date + DAY_MS, name);
        const hour = parseMoment(`${text(date)} ${clock(minutes)}`);
        expectReading(beginOf(hour, name), date + minutes * MINUTE_MS, name);
        expect(endOf(hour, name)).toEqual(beginOf(hour, name));
      }),
    );
  });

  it('in a field, moved by days, weeks and months of the calendar, keep their hour', () => {
    const offset = fc.record({
      value: fc.integer({ min: 0, max: 40 }),
      unit: fc.constantFrom('days' as const, 'weeks' as const, 'months' as const),
    });
    const sign = fc.constantFrom(1 as const, -1 as const);
    fc.assert(
      fc.property(zone, day, offset, sign, (name, date, span, way) => {
        const got = fieldMoment(text(date), { offset: span, sign: way }, name);
        const wanted = DateTime.fromMillis(date, { zone: 'UTC' }).plus({ [span.unit]: way * span.value });
        expect(got).not.toBeNull();
        expectReading(got ?? new Date(0), wanted.toMillis(), name);
      }),
    );
  });

  it('until a date and an hour: never earlier, and never twice for who asks again', () => {
    fc.assert(
      fc.property(zone, day, minute, fc.integer({ min: -40, max: 40 }), (name, date, minutes, days) => {
        const timing = { until: parseMoment(text(date)), at: clock(minutes) };
        const from = new Date(date + days * DAY_MS);
        const due = nextDueAt(timing, from, name);
        expect(due.getTime()).toBeGreaterThanOrEqual(
          Math.max(from.getTime(), beginOf(timing.until, name).getTime()),
        );
        expect(nextDueAt(timing, due, name)).toEqual(due);
        const later = nextDueAt(timing, new Date(from.getTime() + DAY_MS), name);
        expect(later.getTime()).toBeGreaterThanOrEqual(due.getTime());
      }),
    );
  });

  it('a letter a day at one hour comes once on each local day of a year, through every clock change', () => {
    const wrong: string[] = [];
    for (const name of ZONES) {
      const timing = { delay: { value: 1, unit: 'days' as const }, at: '02:30' };
      let at = nextDueAt({ at: '02:30' }, new Date('2026-01-01T12:00:00Z'), name);
      const first = Math.floor(localClockMs(at.getTime(), name) / DAY_MS);
      for (let count = 1; count <= 365; count++) {
        at = nextDueAt(timing, at, name);
        const reached = Math.floor(localClockMs(at.getTime(), name) / DAY_MS);
        if (reached !== first + count) wrong.push(`${name}: day ${count} at ${at.toISOString()}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('take a T between day and hour as well', () => {
    expect(parseMoment('2026-01-01T09:30')).toEqual(parseMoment('2026-01-01 09:30'));
  });

  it.each([
    ...['2026-02-30', '2026-13-01', '2026-1-1', 'tomorrow', '', '2026-01-01 25:00', '2026-02-30T00:00:00Z'],
  ])('refuse %j', (given) => {
    expect(() => parseMoment(given)).toThrow('is not a date');
    expect(fieldMoment(given, { offset: null, sign: 1 }, 'UTC')).toBeNull();
  });
});
