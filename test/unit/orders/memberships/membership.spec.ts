import { describe, expect, it } from 'vitest';
import {
  FOR_GOOD,
  granted,
  isRunning,
  over,
  parseTerm,
  readTerm,
  refunded,
  type Membership,
  type MembershipChange,
} from '../../../../src/orders/memberships/membership.js';

const at = (text: string): Date => new Date(`${text}T09:00:00Z`);
const held = ({ state, startsAt, endsAt }: Membership): string =>
  `${state} ${startsAt.toISOString().slice(0, 10)} ${endsAt?.toISOString().slice(0, 10) ?? 'for good'}`;
const grant = (day: string, term: string, orderId: string | null = null): MembershipChange => ({
  ...{ kind: 'granted', at: at(day), term: parseTerm(term), orderId },
});

/** `day term` for a grant, `day` alone for an end by hand. */
function after(...changes: string[]): Membership {
  return changes.reduce<Membership | null>((current, text) => {
    const [day = '', ...term] = text.split(' ');
    if (term.length > 0) return granted(current, parseTerm(term.join(' ')), at(day));
    return current && over(current, 'ended', at(day));
  }, null) as Membership;
}

describe('a membership', () => {
  it.each([
    [['2026-01-31 1 month'], 'active 2026-01-31 2026-02-28'],
    [['2026-01-31 for good'], 'active 2026-01-31 for good'],
    // A second purchase adds to the end of what runs, and begins anew where nothing does.
    [['2026-01-10 1 month', '2026-01-20 1 month'], 'active 2026-01-10 2026-03-10'],
    [['2026-01-10 1 month', '2026-02-10 1 month'], 'active 2026-02-10 2026-03-10'],
    [['2026-01-10 1 month', '2026-05-10 1 month'], 'active 2026-05-10 2026-06-10'],
    // A renewal does not lose the days of a short month.
    [['2026-01-31 1 month', '2026-02-27 1 month'], 'active 2026-01-31 2026-03-31'],
    [['2026-01-31 1 month', '2026-02-27 1 month', '2026-03-30 12 months'], 'active 2026-01-31 2027-03-31'],
    [['2026-01-31 3 weeks', '2026-02-10 1 month'], 'active 2026-01-31 2026-03-21'],
    [['2026-01-31 1 month', '2026-02-27 1 week'], 'active 2026-01-31 2026-03-07'],
    [['2026-01-10 for good', '2026-01-20 1 month'], 'active 2026-01-10 for good'],
    [['2026-01-10 1 month', '2026-01-20 for good'], 'active 2026-01-10 for good'],
    [['2026-01-10 1 month', '2026-01-20'], 'ended 2026-01-10 2026-01-20'],
    [['2026-01-10 1 month', '2026-05-20'], 'ended 2026-01-10 2026-02-10'],
    [['2026-01-10 1 month', '2026-01-20', '2026-01-25 2 months'], 'active 2026-01-25 2026-03-25'],
  ])('%j is %s', (changes, expected) => {
    expect(held(after(...changes))).toBe(expected);
  });

  it('does not hold at its end itself', () => {
    const month = after('2026-01-10 1 month');
    expect(isRunning(month, new Date(at('2026-02-10').getTime() - 1))).toBe(true);
    expect(isRunning(month, at('2026-02-10'))).toBe(false);
    expect(parseTerm(' for good ')).toBe(FOR_GOOD);
    expect(() => parseTerm('for ever')).toThrow('not a duration');
    expect(() => readTerm('0 days')).toThrow('above zero');
    expect([readTerm('1 day'), readTerm(' for good ')]).toEqual([{ value: 1, unit: 'days' }, FOR_GOOD]);
  });

  it.each<[string, MembershipChange[], string]>([
    ['of its only order ends it', [], 'refunded 2026-01-10 2026-01-20'],
    [
      'of the second order takes its term off',
      [grant('2026-01-10', '1 month')],
      'active 2026-01-10 2026-02-10',
    ],
    [
      'of the first leaves what the second alone comes to',
      [grant('2026-01-15', '1 month')],
      'active 2026-01-15 2026-02-15',
    ],
    ['of one for good leaves the rest', [grant('2026-01-12', '2 weeks')], 'active 2026-01-12 2026-01-26'],
    [
      'leaves nothing that is over by itself',
      [grant('2025-01-12', '2 weeks')],
      'refunded 2026-01-10 2026-01-20',
    ],
    [
      'brings nothing back that was ended by hand',
      [grant('2026-01-10', '1 month'), { kind: 'ended', at: at('2026-01-15') }],
      'refunded 2026-01-10 2026-01-20',
    ],
  ])('by a refund %s', (_, changes, expected) => {
    const current = after('2026-01-10 1 month', '2026-01-15 1 month');
    expect(held(refunded(current, changes, at('2026-01-20')))).toBe(expected);
  });
});
