import fc from 'fast-check';
import { DateTime, IANAZone } from 'luxon';
import { describe, expect, it } from 'vitest';
import { checkTiming, nextDueAt, reopensAt, type StepTiming } from '../../../src/sequences/steps/schedule.js';
import { localClockMs, WEEKDAYS } from '../../../src/values/zoned-time.js';

const MINUTE_MS = 60_000;
const QUARTER_MS = 15 * MINUTE_MS;
const DAY_MS = 86_400_000;
const SIX_HOURS_MS = 6 * 3_600_000;

/** Local clock minus UTC in milliseconds by luxon alone. */
function offsetOf(zoneName: string): (instant: number) => number {
  const luxonZone = IANAZone.create(zoneName);
  return (instant) => luxonZone.offset(instant) * MINUTE_MS;
}

const zone = fc.constantFrom(...Intl.supportedValuesOf('timeZone'));
const quarter = fc.integer({ min: 0, max: 95 }).map((count) => {
  const text = (value: number): string => String(value).padStart(2, '0');
  return `${text(Math.floor(count / 4))}:${text((count % 4) * 15)}`;
});
const nightly = fc.oneof(
  quarter,
  fc.constantFrom('00:00', '01:15', '01:30', '02:00', '02:15', '02:30', '02:45', '03:00'),
);
const days = fc.subarray([...WEEKDAYS], { minLength: 1 });
const optional = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(values, { nil: undefined });
const conditions = fc.record({
  at: optional(nightly),
  onDays: optional(days),
  window: optional(fc.record({ days, from: nightly, to: nightly })),
  quietHours: optional(fc.record({ from: nightly, to: nightly })),
});
const exactDelay = fc.record({
  value: fc.integer({ min: 0, max: 200 }),
  unit: fc.constantFrom('minutes' as const, 'hours' as const),
});
const calendarDelay = fc.record({
  value: fc.integer({ min: 1, max: 14 }),
  unit: fc.constantFrom('days' as const, 'weeks' as const),
});

/** The next clock change within 220 days by luxon's offsets; changes fall on quarters of an hour. */
function nextChange(zoneName: string, from: number): number | null {
  const offset = offsetOf(zoneName);
  const before = offset(from);
  const later = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map((step) => from + step * 20 * DAY_MS);
  const changed = later.find((instant) => offset(instant) !== before);
  if (changed === undefined) return null;
  let [low, high] = [changed - 20 * DAY_MS, changed];
  while (high - low > QUARTER_MS) {
    const middle = low + Math.floor((high - low) / QUARTER_MS / 2) * QUARTER_MS;
    if (offset(middle) === before) low = middle;
    else high = middle;
  }
  return high;
}

/** Somewhere in 2024 to 2030; most starts lie within three hours of a clock change where the zone has one. */
const start = fc
  .record({
    zone,
    at: fc.integer({ min: Date.UTC(2024, 0) / QUARTER_MS, max: Date.UTC(2030, 11) / QUARTER_MS }),
    beside: fc.option(fc.integer({ min: -12, max: 12 }), { nil: undefined }),
  })
  .map(({ zone: name, at, beside }) => {
    const from = at * QUARTER_MS;
    const change = beside === undefined ? null : nextChange(name, from);
    return { zone: name, from: change === null ? from : change + (beside ?? 0) * QUARTER_MS };
  });

/** Less than the shortest opening that `conditions` makes. */
const lateMs = fc.integer({ min: 0, max: QUARTER_MS - 1 });

const minuteOf = (localTime: string): number =>
  Number(localTime.slice(0, 2)) * 60 + Number(localTime.slice(3));

/** The rules once more, without clock changes: may a step run at this local reading? */
function mayRun(timing: StepTiming, local: number): boolean {
  const reading = new Date(local);
  const minute = reading.getUTCHours() * 60 + reading.getUTCMinutes();
  const today = WEEKDAYS[(reading.getUTCDay() + 6) % 7] ?? 'mon';
  const yesterday = WEEKDAYS[(reading.getUTCDay() + 5) % 7] ?? 'mon';
  const { at, onDays, window, quietHours } = timing;
  if (at !== undefined && minute !== minuteOf(at)) return false;
  if (onDays && !onDays.includes(today)) return false;
  if (quietHours) {
    const [from, to] = [minuteOf(quietHours.from), minuteOf(quietHours.to)];
    if (from < to ? minute >= from && minute < to : minute >= from || minute < to) return false;
  }
  if (!window) return true;
  const [from, to] = [minuteOf(window.from), minuteOf(window.to)];
  if (from < to) return window.days.includes(today) && minute >= from && minute < to;
  return (window.days.includes(today) && minute >= from) || (window.days.includes(yesterday) && minute < to);
}

/** The answer found by looking at every quarter of an hour, with luxon's own offsets. */
function dueByLooking(timing: StepTiming, from: number, zoneName: string): number {
  const offset = offsetOf(zoneName);
  let earlierOffset = offset(from - 1);
  for (let instant = from; instant < from + 10 * DAY_MS; instant += QUARTER_MS) {
    const local = instant + offset(instant);
    const readings = [local];
    for (let skipped = instant + earlierOffset; skipped < local; skipped += QUARTER_MS)
      readings.push(skipped);
    earlierOffset = local - instant;
    if (!readings.some((reading) => mayRun(timing, reading))) continue;
    const earlier = [2, 4, 8].map((quarters) => instant - quarters * QUARTER_MS);
    if (timing.at === undefined || !earlier.some((pass) => pass + offset(pass) === local)) return instant;
  }
  return Number.NaN;
}

/** The reading is allowed, or the clocks went forward within the hour and one not put forward shows an allowed skipped reading, or will. */
function isOpen(timing: StepTiming, instant: number, zoneName: string): boolean {
  const offset = offsetOf(zoneName);
  if (mayRun(timing, instant + offset(instant))) return true;
  const quarterHour = instant - (instant % QUARTER_MS);
  for (let change = quarterHour; change > instant - 4 * QUARTER_MS; change -= QUARTER_MS) {
    const end = change + offset(change);
    for (let skipped = instant + offset(change - 1); skipped < end; skipped += QUARTER_MS)
      if (mayRun(timing, skipped)) return true;
  }
  return false;
}

/** Since the local clock showed the hour last. */
function msBehind(hour: string, instant: number, name: string): number {
  const minutes = Number(hour.slice(0, 2)) * 60 + Number(hour.slice(3));
  const since = (localClockMs(instant, name) % DAY_MS) - minutes * MINUTE_MS;
  return since < 0 ? since + DAY_MS : since;
}

describe('in every zone', () => {
  it('is the first instant the rules allow, as found by looking at every quarter of an hour', () => {
    fc.assert(
      fc.property(start, conditions, ({ zone: name, from }, timing) => {
        fc.pre(checkTiming(timing).length === 0);
        const got = nextDueAt(timing, new Date(from), name);
        expect(got).toEqual(new Date(dueByLooking(timing, from, name)));
      }),
      { numRuns: 200 },
    );
  });

  it('holds for a step that comes up late: it runs if its hours are open, and else when a fresh one would', () => {
    fc.assert(
      fc.property(start, conditions, lateMs, ({ zone: name, from }, timing, late) => {
        fc.pre(checkTiming(timing).length === 0);
        const at = new Date(from + late);
        const got = reopensAt({ ...timing, delay: { value: 3, unit: 'days' } }, at, name);
        const { at: hour, ...hours } = timing;
        const isHourAlone = hour !== undefined && Object.values(hours).every((one) => one === undefined);
        const mayRun = (instant: number): boolean =>
          isHourAlone ? msBehind(hour, instant, name) <= SIX_HOURS_MS : isOpen(hours, instant, name);
        expect(got).toEqual(mayRun(from + late) ? null : nextDueAt(timing, at, name));
        // Nothing runs in the very millisecond in which it is due.
        const due = nextDueAt(timing, new Date(from), name).getTime();
        // An hour of a day that a zone has left out comes up at the next midnight.
        if (!isHourAlone || mayRun(due + late))
          expect(reopensAt(timing, new Date(due + late), name)).toBeNull();
      }),
      { numRuns: 250 },
    );
  });

  it('is never before the start and its exact delay', () => {
    fc.assert(
      fc.property(start, conditions, exactDelay, ({ zone: name, from }, rest, after) => {
        fc.pre(checkTiming(rest).length === 0);
        const earliest = from + after.value * (after.unit === 'hours' ? 60 : 1) * MINUTE_MS;
        const got = nextDueAt({ ...rest, delay: after }, new Date(from), name);
        expect(got.getTime()).toBeGreaterThanOrEqual(earliest);
        expect(got).toEqual(nextDueAt({ ...rest }, new Date(earliest), name));
      }),
      { numRuns: 250 },
    );
  });

  it('counts calendar days on the local calendar and keeps the time of day', () => {
    fc.assert(
      fc.property(
        start,
        nightly,
        optional(days),
        calendarDelay,
        ({ zone: name, from }, at, onDays, after) => {
          const got = nextDueAt({ delay: after, at, onDays }, new Date(from), name).getTime();
          const allowed = onDays ?? WEEKDAYS;
          let day = DateTime.fromMillis(from, { zone: name })
            .setZone('UTC', { keepLocalTime: true })
            .startOf('day');
          day = day.plus({ [after.unit]: after.value });
          while (!allowed.includes(WEEKDAYS[day.weekday - 1] ?? 'mon')) day = day.plus({ days: 1 });
          const wanted = day.toMillis() + minuteOf(at) * MINUTE_MS;
          if (localClockMs(got, name) === wanted) return;
          // Otherwise the reading was skipped, and this is the first instant after the gap.
          expect(localClockMs(got, name)).toBeGreaterThan(wanted);
          expect(localClockMs(got - 1, name)).toBeLessThan(wanted);
        },
      ),
      { numRuns: 250 },
    );
  });

  it('is never earlier for a later start', () => {
    const later = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 20_000 }));
    const anyDelay = optional(fc.oneof(exactDelay, calendarDelay));
    fc.assert(
      fc.property(start, later, conditions, anyDelay, ({ zone: name, from }, minutes, rest, after) => {
        const timing = { ...rest, delay: after };
        fc.pre(checkTiming(timing).length === 0);
        const first = nextDueAt(timing, new Date(from), name).getTime();
        const second = nextDueAt(timing, new Date(from + minutes * MINUTE_MS), name).getTime();
        expect(second).toBeGreaterThanOrEqual(first);
      }),
      { numRuns: 400 },
    );
  });

  it('stays where it is once allowed', () => {
    fc.assert(
      fc.property(start, conditions, ({ zone: name, from }, timing) => {
        fc.pre(checkTiming(timing).length === 0);
        const once = nextDueAt(timing, new Date(from + 1_234), name);
        expect(nextDueAt(timing, once, name)).toEqual(once);
        expect(nextDueAt({ ...timing }, new Date(from + 1_234), name)).toEqual(once);
      }),
      { numRuns: 200 },
    );
  });
});
