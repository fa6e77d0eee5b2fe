import { describe, expect, it } from 'vitest';
import {
  afterTaken,
  isRelay,
  NO_PUT_OFFS,
  putOffMail,
  templatesToPassOver,
  withPutOffs,
  type PutOffs,
} from '../../../../src/delivery/relays/put-offs.js';

interface Mail {
  id: string;
  address?: string;
  templateId?: string;
  plain?: boolean;
  atMs?: number;
}

const MINUTE_MS = 60_000;
const putOff = (known: PutOffs, { plain = false, atMs = 0, ...mail }: Mail): PutOffs => {
  const one = putOffMail({ address: 'a@example.org', templateId: '7', ...mail }, { plain, atMs });
  return withPutOffs(known, { mails: [one], blamed: [] }, atMs);
};
const all = (...mails: Mail[]): PutOffs => mails.reduce(putOff, NO_PUT_OFFS);
const many = (count: number, of: (n: number) => Partial<Mail>): PutOffs =>
  all(...Array.from({ length: count }, (_, n) => ({ id: `${n}`, ...of(n) })));

describe('mails that a relay was tried with, and put off', () => {
  it('are the relay’s trouble, which was out, once a second receiver’s is put off too', () => {
    const one = all({ id: '1' }, { id: '2' });
    expect(isRelay(one, true)).toBe(false);
    expect(isRelay(putOff(one, { id: '3', address: 'a@example.net' }), true)).toBe(true);
  });

  it('are it too when all go to one receiver, of which many lists have most', () => {
    expect(
      [4, 5].map((count) =>
        isRelay(
          many(count, () => ({})),
          true,
        ),
      ),
    ).toEqual([false, true]);
  });

  it('are the trouble of one that was believed to work when its own words are plain, or several receivers’ are put off', () => {
    expect(
      [4, 5].map((count) =>
        isRelay(
          many(count, () => ({ plain: true })),
          false,
        ),
      ),
    ).toEqual([false, true]);
    const lists = (count: number, of: number): PutOffs =>
      many(count, (n) => ({ address: `a@list${n % of}.example` }));
    expect([lists(9, 9), lists(10, 2), lists(10, 3)].map((one) => isRelay(one, false))).toEqual([
      false,
      false,
      true,
    ]);
  });

  it.each([
    ['plain words to others', (n: number) => ({ address: `a@one.example`, plain: true, id: `later${n}` }), 5],
    ['those of further receivers', (n: number) => ({ address: `a@list${n}.example`, id: `later${n}` }), 1],
  ])(
    'are the relay’s trouble however many of two receivers came before: %s are not dropped',
    (_, later, needed) => {
      const busy = many(30, (n) => ({ address: `a@${n % 2 ? 'one' : 'two'}.example` }));
      const withLater = (count: number): PutOffs =>
        Array.from({ length: count }, (__, n) => later(n)).reduce(putOff, busy);
      expect([needed - 1, needed].map((count) => isRelay(withLater(count), false))).toEqual([false, true]);
      expect(withLater(1000).mails.length).toBeLessThan(20);
    },
  );

  it('prove nothing when they are one mail, tried again and again', () => {
    const again = Array.from({ length: 20 }, () => ({ id: '1', plain: true }));
    expect([true, false].map((out) => isRelay(all(...again), out))).toEqual([false, false]);
  });

  it('say nothing after twenty minutes, nor when they are of a clock that was ahead', () => {
    const four = many(4, () => ({ plain: true }));
    const fifth = (minutes: number): PutOffs =>
      putOff(four, { id: 'fifth', plain: true, atMs: minutes * MINUTE_MS });
    expect([20, 21, -21].map((minutes) => isRelay(fifth(minutes), false))).toEqual([true, false, false]);
  });

  it('are known for as long as an outage is, though no more than a few are kept', () => {
    const hours = many(100, (n) => ({ atMs: n * MINUTE_MS, plain: true, address: `a@list${n}.example` }));
    expect([isRelay(hours, true), isRelay(hours, false)]).toEqual([true, true]);
    expect(hours.mails.length).toBeLessThan(20);
  });

  it('name the kinds of mails that were put off, so that the next try is by another, once they seem to be the relay’s trouble', () => {
    const one = all({ id: '1' });
    expect(templatesToPassOver(one)).toEqual({ tried: [], blamed: [] });
    const two = putOff(putOff(one, { id: '2', address: 'a@example.net' }), { id: '3', templateId: '8' });
    expect(templatesToPassOver(two).tried).toEqual(['7', '8']);
    expect(templatesToPassOver(many(100, (n) => ({ templateId: `${n}` }))).tried).toHaveLength(20);
  });

  it('count from the last mail that was taken, and name no receiver', () => {
    const known = many(5, () => ({}));
    expect(JSON.stringify(known)).not.toContain('example');
    expect(afterTaken(known, '7', true)).toEqual(NO_PUT_OFFS);
    expect(afterTaken(NO_PUT_OFFS, '7', true)).toBe(NO_PUT_OFFS);
  });

  it('were put off for their words when the relay is tried with another and takes that; until one of them is taken', () => {
    const known = many(5, () => ({}));
    expect(afterTaken(known, '8', false)).toEqual(NO_PUT_OFFS);
    // Judged and not taken: the end of a mail may be what it cannot do.
    expect(afterTaken(known, null, true)).toEqual(NO_PUT_OFFS);
    const blaming = afterTaken(known, '8', true);
    expect(blaming).toEqual({ mails: [], blamed: ['7'] });
    expect(putOff(blaming, { id: '9' })).toEqual(blaming);
    expect(templatesToPassOver(blaming)).toEqual({ tried: [], blamed: ['7'] });
    expect(putOff(blaming, { id: '9', templateId: '8' }).mails).toHaveLength(1);
    expect(afterTaken(blaming, '8', false)).toBe(blaming);
    expect(afterTaken(blaming, '7', false)).toEqual(NO_PUT_OFFS);
  });
});
