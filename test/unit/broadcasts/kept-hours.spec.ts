import { describe, expect, it } from 'vitest';
import { keptHours } from '../../../src/broadcasts/kept-hours.js';
import type { LocalHour } from '../../../src/broadcasts/timing.js';
import { opensAt } from '../../../src/values/week-hours.js';

type Given = Partial<LocalHour> & { spreadMinutes?: number; delayMinutes?: number };
const TEST = { testPercent: 50, waitMinutes: 60, judge: 'clicks' } as const;
const spans = (
  time: string,
  { spreadMinutes = 0, delayMinutes, ...change }: Given = {},
): ReturnType<typeof keptHours> =>
  keptHours({
    split: delayMinutes === undefined ? null : { ...TEST, arms: [{}, { delayMinutes }] },
    timing: {
      local: { atLocal: `2026-03-05T${time}`, fallbackZone: 'UTC', ifPassed: 'nextDay', ...change },
      spreadMinutes,
    },
  });
/** Of a Sunday and the Monday behind it: the first hours have a day of the week before them. */
const openOn = (given: ReturnType<typeof keptHours>): string => {
  const hours = Array.from({ length: 48 }, (_, hour) => hour).filter(
    (hour) =>
      given !== null &&
      opensAt({ spans: given, timeZone: 'UTC' }, new Date(Date.UTC(2026, 2, 8, hour))) === null,
  );
  return (
    hours.filter((hour) => hour < 24).join(' ') +
    ' | ' +
    hours
      .filter((hour) => hour >= 24)
      .map((hour) => hour - 24)
      .join(' ')
  );
};

describe('what is kept behind the hour of its broadcast', () => {
  it.each([
    ['in the evening of the same day', '17:00', {}, '17 18 19 20 21'],
    ['until 22:00', '12:00', {}, '12 13 14 15 16 17 18 19 20 21'],
    ['until 22:00, and not until 02:00', '20:00', {}, '20 21'],
    ['for two hours', '23:00', {}, '0 23'],
    ['for two hours, and by day', '01:00', {}, '1 2 8 9 10 11 12 13 14 15 16 17 18 19 20 21'],
    [
      'for two hours behind its spread',
      '12:00',
      { spreadMinutes: 660 },
      '0 12 13 14 15 16 17 18 19 20 21 22 23',
    ],
    [
      'for two hours behind the delay of an arm of more than a day, and not in the night between',
      '12:00',
      { delayMinutes: 35 * 60 },
      '0 12 13 14 15 16 17 18 19 20 21 23',
    ],
  ] as const)('goes %s', (_, time, given, open) => {
    expect(openOn(spans(time, given))).toBe(`${open} | ${open}`);
  });

  it.each([
    ['those past the hour get it at once', spans('12:00', { ifPassed: 'send' }), '8'],
    ['those past the hour do not get it', spans('23:00', { ifPassed: 'skip' }), '0 8', '23'],
    [
      'arms of its split test have hours of their own',
      keptHours({
        timing: {
          local: { atLocal: '2026-03-05T12:00', fallbackZone: 'UTC', ifPassed: 'nextDay' },
          spreadMinutes: 0,
        },
        split: { ...TEST, arms: [{}, { at: '06:00' }] },
      }),
      '6 7 8',
    ],
  ])('goes by day where %s', (_, given, morning, night = '') => {
    const open = [morning, '9 10 11 12 13 14 15 16 17 18 19 20 21', night].join(' ').trim();
    expect(openOn(given)).toBe(`${open} | ${open}`);
  });

  it.each([
    ['its spread takes most of a day', spans('12:00', { spreadMinutes: 22 * 60 })],
    ['it has no hour', keptHours({ split: null, timing: { local: null, spreadMinutes: 60 } })],
  ])('goes at any time where %s', (_, given) => {
    expect(given).toBeNull();
  });
});
