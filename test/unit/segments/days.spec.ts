import fc from 'fast-check';
import { DateTime } from 'luxon';
import { describe, expect, it } from 'vitest';
import { type Condition, conditionSchema } from '../../../src/segments/condition.js';
import { boundsOf, dayFromToday } from '../../../src/segments/days.js';
import { meets, type PersonFacts } from '../../../src/segments/meets.js';

/** East and west of Greenwich, with clocks that change at midnight, by half an hour, by two hours, and not at all. */
const ZONES = [
  ...['UTC', 'Asia/Tokyo', 'America/Los_Angeles', 'Europe/Berlin', 'America/Havana', 'Africa/Cairo'],
  ...['Australia/Lord_Howe', 'Antarctica/Troll', 'Pacific/Kiritimati', 'Asia/Kolkata', 'America/Asuncion'],
];

const SOMEBODY: PersonFacts = {
  ...{ status: 'active', createdAt: new Date(0), confirmedAt: null, email: 'ada@example.com', name: null },
  ...{ timeZone: null, locale: null, fields: {}, tags: [], lists: [], events: [], mails: [], orders: [] },
  ...{ memberships: [], affiliate: null, isAffiliate: false, enrollments: [], arms: [], forms: [] },
};

function isMet(person: Partial<PersonFacts>, condition: Condition, now: string, zone: string): boolean {
  return meets({ ...SOMEBODY, ...person }, conditionSchema.parse(condition), {
    ...{ now: new Date(now), zone, typeOf: () => 'date' as const },
  });
}

describe('days of a segment', () => {
  const birthday = { fields: { birthday: '2026-03-03' } };
  const next: Condition = { field: 'birthday', op: 'inNextDays', value: 1 };
  const last: Condition = { field: 'birthday', op: 'withinDays', value: 1 };

  it.each([
    // At 23:30 UTC it is the 3rd in Tokyo, and the 2nd in London and Los Angeles.
    ['Asia/Tokyo', next, '2026-03-02T23:30:00Z', false],
    ['Asia/Tokyo', last, '2026-03-02T23:30:00Z', true],
    ['UTC', next, '2026-03-02T23:30:00Z', true],
    ['America/Los_Angeles', next, '2026-03-02T23:30:00Z', true],
    // At 01:30 UTC on the 4th it is still the 3rd in Los Angeles.
    ['America/Los_Angeles', next, '2026-03-04T01:30:00Z', false],
    ['America/Los_Angeles', { field: 'birthday', op: 'withinDays', value: 1 }, '2026-03-05T01:30:00Z', true],
    ['UTC', last, '2026-03-05T01:30:00Z', false],
  ] as const)('of a field end at midnight in %s: %j at %s', (zone, condition, now, expected) => {
    expect(isMet(birthday, condition, now, zone)).toBe(expected);
  });

  const day: Condition = { signedUp: { withinDays: 1 } };
  it.each([
    // 08:30 of the 9th in Tokyo, 16:30 of the 8th in Los Angeles, where the clocks have changed that night.
    ['Asia/Tokyo', '2026-03-08T23:30:00Z', '2026-03-10T12:00:00Z', true],
    ['America/Los_Angeles', '2026-03-08T23:30:00Z', '2026-03-10T12:00:00Z', false],
    ['America/Los_Angeles', '2026-03-08T23:30:00Z', '2026-03-10T06:59:59Z', true],
    ['America/Los_Angeles', '2026-03-08T07:59:59Z', '2026-03-09T12:00:00Z', false],
    ['America/Los_Angeles', '2026-03-08T08:00:00Z', '2026-03-09T12:00:00Z', true],
    ['UTC', '2026-03-08T23:30:00Z', '2026-03-10T12:00:00Z', false],
    ['UTC', '2026-03-09T00:00:00Z', '2026-03-10T23:59:59Z', true],
  ])('of what was done begin at midnight in %s: %s as of %s', (zone, createdAt, now, expected) => {
    expect(isMet({ createdAt: new Date(createdAt) }, day, now, zone)).toBe(expected);
  });

  it.each([
    ['UTC', '2026-03-01T00:00:00Z'],
    ['Asia/Tokyo', '2026-02-28T15:00:00Z'],
    ['America/Los_Angeles', '2026-03-01T08:00:00Z'],
  ])('may be said by their date, and begin at midnight in %s', (zone, begins) => {
    const [before, at] = [new Date(Date.parse(begins) - 1), new Date(begins)];
    const [since, until] = [{ since: '2026-03-01' }, { until: '2026-03-01' }];
    const now = '2026-03-20T00:00:00Z';
    expect([before, at].map((createdAt) => isMet({ createdAt }, { signedUp: since }, now, zone))).toEqual([
      false,
      true,
    ]);
    expect([before, at].map((createdAt) => isMet({ createdAt }, { signedUp: until }, now, zone))).toEqual([
      true,
      false,
    ]);
  });

  it('are whole in every zone, also where clocks change: a window begins with the first moment of its day', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...ZONES),
        fc.date({ min: new Date('2005-01-01'), max: new Date('2035-01-01'), noInvalidDate: true }),
        fc.integer({ min: 1, max: 400 }),
        (zone, now, withinDays) => {
          const dayOf = (at: number): string => DateTime.fromMillis(at, { zone }).toFormat('yyyy-MM-dd');
          const first = DateTime.fromJSDate(now, { zone: 'UTC' })
            .setZone(zone)
            .startOf('day')
            .setZone('UTC', { keepLocalTime: true })
            .minus({ days: withinDays })
            .toFormat('yyyy-MM-dd');
          const clock = { now, zone };
          const from = Date.parse(boundsOf({ withinDays }, clock).from ?? '');
          expect(dayFromToday(0, clock)).toBe(dayOf(now.getTime()));
          expect(dayFromToday(-withinDays, clock)).toBe(first);
          expect(dayOf(from)).toBe(first);
          expect(dayOf(from - 1) < first).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });
});
