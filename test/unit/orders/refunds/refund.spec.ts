import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { refundRequestOf, type RefundTyped } from '../../../../src/admin/orders/order-form.js';
import { clawedBackOf, commissionsOf, shareOf } from '../../../../src/affiliates/commission.js';
import type { Order, OrderLine } from '../../../../src/orders/order.js';
import {
  type RefundableLine,
  type RefundPlan,
  type RefundWish,
  refundOf,
} from '../../../../src/orders/refunds/refund.js';

const line = (id: string, amountMinor: number, refundedMinor = 0): RefundableLine => ({
  ...{ id, amountMinor, refundedMinor, isTakenBack: false },
});
const kit = [line('kit', 3430), line('list', 900), line('gift', 0)];
const sumOf = (all: readonly { amountMinor: number }[]): number =>
  all.reduce((sum, { amountMinor }) => sum + amountMinor, 0);

describe('a refund', () => {
  it.each<[string, RefundWish, Partial<RefundPlan>]>([
    [
      'of all takes every product back',
      { kind: 'rest' },
      { amountMinor: 4330, takenBack: ['kit', 'list', 'gift'], isWhole: true },
    ],
    [
      'of an amount is spread by what the lines cost and takes nothing back',
      { kind: 'amount', amountMinor: 1000 },
      {
        amountMinor: 1000,
        parts: [
          { lineId: 'kit', amountMinor: 792 },
          { lineId: 'list', amountMinor: 208 },
        ],
        takenBack: [],
        isWhole: false,
      },
    ],
    [
      'of a line takes its product back',
      { kind: 'lines', lines: [{ lineId: 'list', amountMinor: null }] },
      { parts: [{ lineId: 'list', amountMinor: 900 }], takenBack: ['list'], isWhole: false },
    ],
    [
      'of a part of a line leaves the product',
      { kind: 'lines', lines: [{ lineId: 'list', amountMinor: 899 }] },
      { parts: [{ lineId: 'list', amountMinor: 899 }], takenBack: [] },
    ],
    [
      'of all that was paid, named as an amount, is money alone: the buyer keeps what they bought',
      { kind: 'amount', amountMinor: 4330 },
      { amountMinor: 4330, takenBack: [], isWhole: false },
    ],
    [
      'of a line that cost nothing takes its product back',
      { kind: 'lines', lines: [{ lineId: 'gift', amountMinor: null }] },
      { amountMinor: 0, parts: [], takenBack: ['gift'], isWhole: false },
    ],
    [
      'of each line by its name is one of the whole order',
      { kind: 'lines', lines: kit.map(({ id }) => ({ lineId: id, amountMinor: null })) },
      { amountMinor: 4330, takenBack: ['kit', 'list', 'gift'], isWhole: true },
    ],
  ])('%s', (_, wish, plan) => expect(refundOf(kit, wish)).toMatchObject(plan));

  it.each<[RefundWish, object]>([
    [
      { kind: 'amount', amountMinor: 4331 },
      { refusal: 'too-much', lineId: null, restMinor: 4330 },
    ],
    [
      { kind: 'lines', lines: [{ lineId: 'list', amountMinor: 901 }] },
      { refusal: 'too-much', lineId: 'list', restMinor: 900 },
    ],
    [
      { kind: 'lines', lines: [{ lineId: 'other', amountMinor: 1 }] },
      { refusal: 'unknown-line', lineId: 'other' },
    ],
  ])('of %j is refused', (wish, refusal) => expect(refundOf(kit, wish)).toEqual(refusal));

  it('of the paid bump alone leaves the main product that a discount made free, which its name takes back', () => {
    const free = [line('main', 0), line('bump', 900)];
    expect(refundOf(free, { kind: 'lines', lines: [{ lineId: 'bump', amountMinor: null }] })).toEqual({
      ...{ amountMinor: 900, parts: [{ lineId: 'bump', amountMinor: 900 }] },
      ...{ takenBack: ['bump'], isWhole: false },
    });
    const after = [line('main', 0), { ...line('bump', 900, 900), isTakenBack: true }];
    expect(refundOf(after, { kind: 'rest' })).toMatchObject({ takenBack: ['main'], isWhole: true });
    expect(refundOf(after, { kind: 'lines', lines: [{ lineId: 'main', amountMinor: null }] })).toMatchObject({
      takenBack: ['main'],
      isWhole: true,
    });
    expect(refundOf(after, { kind: 'lines', lines: [{ lineId: 'bump', amountMinor: null }] })).toEqual({
      refusal: 'nothing',
    });
  });

  it('of an order that cost nothing takes its product back', () => {
    expect(refundOf([line('gift', 0)], { kind: 'rest' })).toMatchObject({
      takenBack: ['gift'],
      isWhole: true,
    });
  });

  const bps = fc.integer({ min: 0, max: 10_000 });
  const price = fc.integer({ min: 0, max: 2 ** 40 });
  /** An order, what affiliates get, and refunds: an amount, a part of a line, a whole line, as shares of what is left. */
  const story = fc.record({
    prices: fc.array(price, { minLength: 1, maxLength: 5 }),
    rates: fc.record({ commissionBps: bps, secondTierBps: bps }),
    steps: fc.array(
      fc.record({
        kind: fc.constantFrom('amount', 'part', 'line'),
        shareBps: bps,
        at: fc.nat(4),
      }),
      { maxLength: 8 },
    ),
  });

  it('and others of one order sum to what was paid, and both tiers lose their share and no more', () => {
    fc.assert(
      fc.property(story, ({ prices, rates, steps }) => {
        let lines = prices.map((amount, index) => line(String(index), amount));
        const total = sumOf(lines);
        const party = (affiliateId: string) => ({ affiliateId, isActive: true, isBuyer: false });
        const earned = commissionsOf({
          lines: lines.map(({ id, amountMinor: netMinor }) => ({ id, netMinor })),
          ...{ rates, affiliate: party('1'), recruiter: party('2') },
        });
        const clawed = earned.map(() => 0);
        let refunded = 0;
        const tell = (wish: RefundWish): void => {
          const plan = refundOf(lines, wish);
          if ('refusal' in plan) {
            expect(plan.refusal).toBe('nothing');
            return;
          }
          expect(sumOf(plan.parts)).toBe(plan.amountMinor);
          refunded += plan.amountMinor;
          const back = new Map(plan.parts.map(({ lineId, amountMinor }) => [lineId, amountMinor]));
          lines = lines.map((one) => ({
            ...one,
            refundedMinor: one.refundedMinor + (back.get(one.id) ?? 0),
            isTakenBack: one.isTakenBack || plan.takenBack.includes(one.id),
          }));
          for (const { amountMinor, refundedMinor } of lines)
            expect(refundedMinor).toBeLessThanOrEqual(amountMinor);
          expect(plan.isWhole).toBe(lines.every(({ isTakenBack }) => isTakenBack));
          if (plan.isWhole) expect(refunded).toBe(total);
          earned.forEach(({ lineId, baseMinor, amountMinor, rateBps }, index) => {
            const refundedMinor = lines.find(({ id }) => id === lineId)?.refundedMinor ?? 0;
            const now = clawedBackOf(amountMinor, { refundedMinor, totalMinor: baseMinor });
            expect(now).toBeGreaterThanOrEqual(clawed[index] ?? 0);
            expect(amountMinor - now).toBeLessThanOrEqual(shareOf(baseMinor - refundedMinor, rateBps));
            clawed[index] = now;
          });
        };
        for (const { kind, shareBps, at } of steps) {
          const one = lines[at % lines.length] ?? lines[0];
          if (one === undefined) continue;
          const part = (minor: number): number => shareOf(minor, shareBps);
          if (kind === 'amount') tell({ kind, amountMinor: part(total - refunded) });
          else {
            const amountMinor = kind === 'line' ? null : part(one.amountMinor - one.refundedMinor);
            tell({ kind: 'lines', lines: [{ lineId: one.id, amountMinor }] });
          }
        }
        if (!lines.every(({ isTakenBack }) => isTakenBack)) tell({ kind: 'rest' });
        expect(refunded).toBe(total);
        expect(lines.map(({ refundedMinor }) => refundedMinor)).toEqual(prices);
        expect(lines.every(({ isTakenBack }) => isTakenBack)).toBe(true);
        expect(clawed).toEqual(earned.map(({ amountMinor }) => amountMinor));
      }),
    );
  });
});

describe('the form of a refund', () => {
  const eur = (amountMinor: number) => ({ amountMinor, currency: 'EUR' });
  const order = {
    total: eur(4330),
    refunded: eur(330),
    lines: [{ id: '7', amount: eur(4330), refunded: eur(330) } as OrderLine],
  } as Order;
  const typed: RefundTyped = { kind: 'amount', amount: '', lines: [], reason: 'late', seen: '330' };

  it.each<[Partial<RefundTyped>, object]>([
    [{ amount: '10' }, { amount: eur(1000), reason: 'late', seenMinor: 330 }],
    [{ amount: '40.00 eur' }, { amount: eur(4000) }],
    [{ kind: 'lines', lines: ['7'] }, { lines: [{ lineId: '7' }] }],
    [
      { kind: 'rest', reason: '' },
      { reason: null, seenMinor: 330 },
    ],
  ])('%j asks for %j', (changes, request) =>
    expect(refundRequestOf({ ...typed, ...changes }, order)).toMatchObject({ request }),
  );

  it.each<[Partial<RefundTyped>, string]>([
    [{ amount: '40.01' }, 'amount'],
    [{ amount: '0' }, 'amount'],
    [{ amount: '10 USD' }, 'amount'],
    [{ amount: '1,50' }, 'amount'],
    [{ kind: 'lines' }, 'lines'],
    [{ kind: '' }, 'kind'],
    [{ seen: '' }, 'form'],
  ])('%j is wrong at its field', (changes, field) =>
    expect(refundRequestOf({ ...typed, ...changes }, order)).toEqual({
      errors: { [field]: expect.any(String) },
    }),
  );
});
