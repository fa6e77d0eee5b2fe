import { describe, expect, it } from 'vitest';
import {
  checkTiming,
  dueFrom,
  nextDueAt,
  reopensAt,
  type StepTiming,
} from '../../../../src/sequences/steps/schedule.js';
import { parseMoment } from '../../../../src/sequences/steps/moment.js';
import { parseDuration } from '../../../../src/values/duration.js';
import { WEEKDAYS } from '../../../../src/values/zoned-time.js';

const workdays = ['mon', 'tue', 'wed', 'thu', 'fri'] as const;
const office = { days: workdays, from: '08:00', to: '19:00' };

const due = (timing: StepTiming, from: string, zone: string): string =>
  nextDueAt(timing, new Date(from), zone).toISOString().replace(':00.000Z', 'Z');
const delay = parseDuration;

describe('when a step is due', () => {
  it.each<[string, StepTiming, string, string]>([
    ['the next day, where this minute’s slot brought people here', { at: '09:30' }, '09:30', '04T09:30'],
    ['today before it', { at: '09:30' }, '09:29', '03T09:30'],
    [
      'a day on where hours are counted from a slot',
      { delay: delay('24 hours'), at: '09:30' },
      '09:30',
      '04T09:30',
    ],
    ['on the day that is counted', { delay: delay('1 day'), at: '09:30' }, '09:30', '04T09:30'],
    ['not twice at one slot', { delay: delay('0 days'), at: '09:30' }, '09:30', '04T09:30'],
    [
      'not twice at one slot of a day that has begun',
      { until: parseMoment('2024-06-03'), at: '09:30' },
      '09:30',
      '04T09:30',
    ],
    [
      'after a pause shorter than a minute is left',
      { delay: delay('1 hours'), at: '10:30' },
      '09:30',
      '03T10:30',
    ],
  ])('is the same in whichever second of the minute a worker comes: %s', (_, timing, now, expected) => {
    for (const second of ['00.000', '00.001', '02.000', '59.999'])
      expect(dueFrom(timing, new Date(`2024-06-03T${now}:${second}Z`), 'UTC').toISOString()).toBe(
        `2024-06-${expected}:00.000Z`,
      );
  });

  it.each<[string, StepTiming, string, string, string]>([
    ['at once without a timing', {}, '2024-06-01T12:00Z', 'Europe/Berlin', '2024-06-01T12:00Z'],
    [
      'after exact hours over a clock change',
      { delay: delay('24 hours') },
      '2024-03-30T12:00Z',
      'Europe/Berlin',
      '2024-03-31T12:00Z',
    ],
    [
      'a day later by the clock',
      { delay: delay('1 day') },
      '2024-03-30T12:00Z',
      'Europe/Berlin',
      '2024-03-31T11:00Z',
    ],
    [
      'today when the time is yet to come',
      { at: '09:30' },
      '2024-06-03T06:00Z',
      'Europe/Berlin',
      '2024-06-03T07:30Z',
    ],
    ['at this very instant', { at: '09:30' }, '2024-06-03T07:30Z', 'Europe/Berlin', '2024-06-03T07:30Z'],
    [
      'tomorrow when it has passed',
      { at: '09:30' },
      '2024-06-03T07:31Z',
      'Europe/Berlin',
      '2024-06-04T07:30Z',
    ],
    [
      'two calendar days on, however late it is',
      { delay: delay('2 days'), at: '09:30' },
      '2024-06-03T20:00Z',
      'Europe/Berlin',
      '2024-06-05T07:30Z',
    ],
    [
      'the day counted where the subscriber lives',
      { delay: delay('1 day'), at: '09:30' },
      '2024-06-03T23:00Z',
      'Europe/Berlin',
      '2024-06-05T07:30Z',
    ],
    [
      '48 hours, then the time',
      { delay: delay('48 hours'), at: '09:30' },
      '2024-06-03T20:00Z',
      'Europe/Berlin',
      '2024-06-06T07:30Z',
    ],
    [
      'no delay at all is the next slot',
      { delay: delay('0 days'), at: '09:30' },
      '2024-06-03T20:00Z',
      'Europe/Berlin',
      '2024-06-04T07:30Z',
    ],
    [
      'a month on, at the last day',
      { delay: delay('1 month'), at: '09:30' },
      '2024-01-31T20:00Z',
      'UTC',
      '2024-02-29T09:30Z',
    ],
    [
      'on the next allowed weekday at its midnight',
      { onDays: ['mon'] },
      '2024-06-04T12:00Z',
      'Europe/Berlin',
      '2024-06-09T22:00Z',
    ],
    [
      'on the next allowed weekday at the time',
      { onDays: ['mon'], at: '09:30' },
      '2024-06-03T07:31Z',
      'Europe/Berlin',
      '2024-06-10T07:30Z',
    ],
    [
      'inside the window, at once',
      { window: office },
      '2024-06-03T12:00Z',
      'Europe/Berlin',
      '2024-06-03T12:00Z',
    ],
    ['when the window opens', { window: office }, '2024-06-03T02:00Z', 'Europe/Berlin', '2024-06-03T06:00Z'],
    [
      'the end of the window is outside it',
      { window: office },
      '2024-06-03T17:00Z',
      'Europe/Berlin',
      '2024-06-04T06:00Z',
    ],
    ['after the weekend', { window: office }, '2024-06-07T18:00Z', 'Europe/Berlin', '2024-06-10T06:00Z'],
    [
      'a window over midnight belongs to the day it starts on',
      { window: { days: ['sun'], from: '22:00', to: '02:00' } },
      '2024-06-09T23:30Z',
      'Europe/Berlin',
      '2024-06-09T23:30Z',
    ],
    [
      'and is not open on the evening after',
      { window: { days: ['sun'], from: '22:00', to: '02:00' } },
      '2024-06-10T00:30Z',
      'Europe/Berlin',
      '2024-06-16T20:00Z',
    ],
    [
      'when quiet hours end',
      { quietHours: { from: '21:00', to: '08:00' } },
      '2024-06-03T20:00Z',
      'Europe/Berlin',
      '2024-06-04T06:00Z',
    ],
    [
      'window and quiet hours together',
      { window: office, quietHours: { from: '12:00', to: '13:00' } },
      '2024-06-03T10:15Z',
      'Europe/Berlin',
      '2024-06-03T11:00Z',
    ],
    [
      'delay, time and window together',
      { delay: delay('1 day'), at: '09:30', window: office },
      '2024-06-07T12:00Z',
      'Europe/Berlin',
      '2024-06-10T07:30Z',
    ],
    ['spring in Berlin', { at: '02:30' }, '2024-03-30T12:00Z', 'Europe/Berlin', '2024-03-31T01:00Z'],
    ['autumn in Berlin', { at: '02:30' }, '2024-10-26T12:00Z', 'Europe/Berlin', '2024-10-27T00:30Z'],
    ['once in autumn, not twice', { at: '02:30' }, '2024-10-27T00:31Z', 'Europe/Berlin', '2024-10-28T01:30Z'],
    ['spring in New York', { at: '02:30' }, '2024-03-10T06:00Z', 'America/New_York', '2024-03-10T07:00Z'],
    ['autumn in New York', { at: '01:30' }, '2024-11-02T12:00Z', 'America/New_York', '2024-11-03T05:30Z'],
    [
      'half an hour of spring on Lord Howe',
      { at: '02:15' },
      '2024-10-05T12:00Z',
      'Australia/Lord_Howe',
      '2024-10-05T15:30Z',
    ],
    [
      'half an hour of autumn on Lord Howe',
      { at: '01:45' },
      '2024-04-06T12:00Z',
      'Australia/Lord_Howe',
      '2024-04-06T14:45Z',
    ],
    ['far east in Apia', { at: '09:30' }, '2024-05-01T00:00Z', 'Pacific/Apia', '2024-05-01T20:30Z'],
    ['the day Apia left out', { at: '09:30' }, '2011-12-30T09:00Z', 'Pacific/Apia', '2011-12-30T10:00Z'],
    [
      'a quarter past in Kathmandu',
      { at: '09:30' },
      '2024-05-01T00:00Z',
      'Asia/Kathmandu',
      '2024-05-01T03:45Z',
    ],
    ['spring in St. Johns', { at: '02:30' }, '2024-03-10T05:00Z', 'America/St_Johns', '2024-03-10T05:30Z'],
    ['autumn in St. Johns', { at: '01:30' }, '2024-11-03T03:00Z', 'America/St_Johns', '2024-11-03T04:00Z'],
    [
      'a window wholly inside the gap',
      { window: { days: WEEKDAYS, from: '02:10', to: '02:40' } },
      '2024-03-31T00:50Z',
      'Europe/Berlin',
      '2024-03-31T01:00Z',
    ],
    [
      'a window that opens inside the gap',
      { window: { days: WEEKDAYS, from: '02:30', to: '05:00' } },
      '2024-03-31T00:50Z',
      'Europe/Berlin',
      '2024-03-31T01:00Z',
    ],
    [
      'a window that opens again in autumn',
      { window: { days: WEEKDAYS, from: '02:00', to: '02:30' } },
      '2024-10-27T00:45Z',
      'Europe/Berlin',
      '2024-10-27T01:00Z',
    ],
  ])('%s', (...[, timing, from, zone, expected]) => {
    expect(due(timing, from, zone)).toBe(expected);
  });

  it.each<[string, StepTiming, string, string | null]>([
    ['every day', { window: { days: WEEKDAYS, from: '02:00', to: '03:00' } }, '01:00:00.001', null],
    ['to its end', { window: { days: WEEKDAYS, from: '02:00', to: '03:00' } }, '01:59:59.999', null],
    ['over', { window: { days: WEEKDAYS, from: '02:00', to: '03:00' } }, '02:00:00', '2027-03-29T00:00'],
    ['Sundays', { window: { days: ['sun'], from: '02:00', to: '03:00' } }, '01:00:02', null],
    ['ten minutes', { window: { days: WEEKDAYS, from: '02:30', to: '02:40' } }, '01:39:00', null],
    ['and over', { window: { days: WEEKDAYS, from: '02:30', to: '02:40' } }, '01:40:00', '2027-03-29T00:30'],
    [
      'after the gap',
      { window: { days: ['sun'], from: '03:00', to: '03:10' } },
      '01:10:00',
      '2027-04-04T01:00',
    ],
    ['a slot', { at: '02:30', window: { days: ['sun'], from: '02:00', to: '03:00' } }, '01:00:07', null],
  ])('runs a step of a skipped hour, looked at a moment later, the same night: %s', (_, timing, at, next) => {
    const got = reopensAt(timing, new Date(`2027-03-28T${at}Z`), 'Europe/Berlin');
    expect(got).toEqual(next === null ? null : new Date(`${next}:00Z`));
  });

  it('refuses a zone that is none and a timing that can never run', () => {
    expect(() => due({ at: '09:30' }, '2024-06-03T12:00Z', 'Europe/Atlantis')).toThrow(
      expect.objectContaining({ code: 'TIME_ZONE_INVALID' }),
    );
    expect(() => due({ at: '07:00', window: office }, '2024-06-03T12:00Z', 'UTC')).toThrow(
      expect.objectContaining({ code: 'SCHEDULE_IMPOSSIBLE', message: 'at: 07:00 lies outside the window' }),
    );
  });
});

describe('contradictions in a timing', () => {
  it.each<[string, StepTiming, string]>([
    [
      'a window that is empty',
      { window: { days: workdays, from: '08:00', to: '08:00' } },
      'window: from and to are the same',
    ],
    [
      'a window without days',
      { window: { days: [], from: '08:00', to: '19:00' } },
      'window.days: name at least one of mon',
    ],
    ['no weekdays', { onDays: [] }, 'onDays: name at least one of mon'],
    ['a time that is none', { at: '25:00' }, 'at: "25:00" is not a time of day'],
    [
      'a window time that is none',
      { window: { ...office, to: '7pm' } },
      'window.to: "7pm" is not a time of day',
    ],
    ['a time outside the window', { at: '19:00', window: office }, 'at: 19:00 lies outside the window'],
    [
      'a time inside quiet hours',
      { at: '23:00', quietHours: { from: '21:00', to: '08:00' } },
      'at: 23:00 lies inside the quiet hours',
    ],
    [
      'quiet hours over the window',
      { window: office, quietHours: { from: '07:00', to: '20:00' } },
      'quietHours: they cover the whole window',
    ],
    [
      'quiet hours all day',
      { quietHours: { from: '08:00', to: '08:00' } },
      'quietHours: from and to are the same',
    ],
    [
      'weekdays the window is closed on',
      { onDays: ['sat'], window: office },
      'onDays: none of these days is open',
    ],
    [
      'parts that only clash together',
      { onDays: ['mon'], at: '01:00', window: { days: ['mon'], from: '20:00', to: '02:00' } },
      'onDays: no time is left',
    ],
    [
      'a delay that is no whole number',
      { delay: { value: -1, unit: 'days' } },
      'delay: use a whole number from 0',
    ],
  ])('%s', (_, timing, problem) => {
    expect(checkTiming(timing)).toEqual([expect.stringContaining(problem)]);
  });

  it('are none in a timing that can run', () => {
    expect(checkTiming({})).toEqual([]);
    expect(checkTiming({ delay: delay('2 days'), at: '09:30', onDays: ['mon'], window: office })).toEqual([]);
    expect(checkTiming({ at: '08:00', window: office, quietHours: { from: '19:00', to: '08:00' } })).toEqual(
      [],
    );
  });
});

describe('a step with an hour and no window that comes up late: it went out in the night', () => {
  it.each([
    ['09:30', '2026-01-08T15:30:00Z', null],
    ['09:30', '2026-01-08T15:30:00.001Z', '2026-01-09T09:30:00.000Z'],
    ['09:30', '2026-01-08T03:17:00Z', '2026-01-08T09:30:00.000Z'],
    ['09:30', '2026-01-08T09:29:00Z', '2026-01-08T09:30:00.000Z'],
    ['22:00', '2026-01-08T04:00:00Z', null],
    ['22:00', '2026-01-08T05:00:00Z', '2026-01-08T22:00:00.000Z'],
  ])('at %s, at %s: %s', (at, now, next) => {
    expect(reopensAt({ at }, new Date(now), 'UTC')?.toISOString() ?? null).toBe(next);
  });
});
