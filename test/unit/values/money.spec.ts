import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  allocate,
  applyDiscountBps,
  bpsToText,
  formatMoney,
  isCurrency,
  minorDigits,
  moneyOf,
  moneyToText,
  parseMoney,
  parsePercentBps,
} from '../../../src/values/money.js';

const amount = fc.oneof(fc.integer({ min: 0, max: 1_000_000 }), fc.maxSafeNat());
const currency = fc.constantFrom(...Intl.supportedValuesOf('currency'));
const weights = fc
  .array(fc.integer({ min: 0, max: 1_000_000 }), { minLength: 1, maxLength: 12 })
  .filter((all) => all.some((weight) => weight > 0));

describe('money', () => {
  it.each([
    ['49.00 EUR', 4900, 'EUR'],
    ['49 EUR', 4900, 'EUR'],
    ['49.5 usd', 4950, 'USD'],
    ['0.99 GBP', 99, 'GBP'],
    ['1500 JPY', 1500, 'JPY'],
    ['1.234 BHD', 1234, 'BHD'],
    ['4990.00 HUF', 499_000, 'HUF'],
    ['90071992547409.91 EUR', Number.MAX_SAFE_INTEGER, 'EUR'],
  ])('reads %s', (text, amountMinor, code) => {
    expect(parseMoney(text)).toEqual({ amountMinor, currency: code });
  });

  it.each([
    '',
    '49.00',
    'EUR 49.00',
    '49.00EUR',
    '49.00  EUR',
    '49,00 EUR',
    '1,049.00 EUR',
    "1'049.00 CHF",
    '-49.00 EUR',
    '+49.00 EUR',
    '49. EUR',
    '.99 EUR',
    '007 EUR',
    '1e3 EUR',
    '٤٩ EUR',
    '49.00 EUX',
    '49.00 XXXX',
  ])('refuses %j and says how to write it', (text) => {
    expect(() => parseMoney(text)).toThrow(
      expect.objectContaining({ code: 'MONEY_INVALID', message: expect.stringContaining('49.00 EUR') }),
    );
  });

  it.each([
    ['49.001 EUR', 'EUR has at most 2 decimals'],
    ['49.0 JPY', 'JPY has no decimals'],
    ['1.2345 BHD', 'BHD has at most 3 decimals'],
    ['90071992547409.92 EUR', 'at most 9007199254740991 minor units'],
  ])('refuses %s because of its size or decimals', (text, allowed) => {
    expect(() => parseMoney(text)).toThrow(allowed);
  });

  it('refuses what is not money when it is put together', () => {
    expect(() => moneyOf(1.5, 'EUR')).toThrow(expect.objectContaining({ code: 'MONEY_INVALID' }));
    expect(() => moneyOf(2 ** 53, 'EUR')).toThrow(expect.objectContaining({ code: 'MONEY_INVALID' }));
    expect(() => moneyOf(1, 'eur')).toThrow(expect.objectContaining({ code: 'CURRENCY_INVALID' }));
    expect(isCurrency('EUR')).toBe(true);
    expect(isCurrency('EUX')).toBe(false);
  });

  it('writes what it reads, for every currency', () => {
    fc.assert(
      fc.property(amount, currency, (amountMinor, code) => {
        const money = { amountMinor, currency: code };
        expect(parseMoney(moneyToText(money))).toEqual(money);
      }),
    );
  });

  it('writes all decimals, and a sign for a refund', () => {
    expect(moneyToText(moneyOf(5, 'EUR'))).toBe('0.05 EUR');
    expect(moneyToText(moneyOf(-4900, 'EUR'))).toBe('-49.00 EUR');
    expect(moneyToText(moneyOf(0, 'JPY'))).toBe('0 JPY');
  });

  it('shows money the way a language does', () => {
    const plain = (text: string): string => text.replaceAll(/\s/g, ' ');
    expect(formatMoney(moneyOf(4900, 'EUR'), 'en')).toBe('€49.00');
    expect(plain(formatMoney(moneyOf(123_456, 'EUR'), 'de-DE'))).toBe('1.234,56 €');
    expect(formatMoney(moneyOf(1500, 'JPY'), 'en')).toBe('¥1,500');
    expect(plain(formatMoney(moneyOf(1234, 'BHD'), 'en'))).toBe('BHD 1.234');
    expect(plain(formatMoney(moneyOf(499_000, 'HUF'), 'en'))).toBe('HUF 4,990.00');
    expect(formatMoney(moneyOf(Number.MAX_SAFE_INTEGER, 'EUR'), 'en')).toBe('€90,071,992,547,409.91');
  });

  it('falls back to English for a locale that is none', () => {
    for (const locale of ['', 'not a locale', 'xx-XX', 'de_DE']) {
      expect(formatMoney(moneyOf(4900, 'EUR'), locale)).toBe('€49.00');
    }
  });

  it('knows the minor unit by ISO 4217, not by what price tags show', () => {
    expect(['JPY', 'KRW', 'EUR', 'HUF', 'IDR', 'BHD', 'IQD'].map(minorDigits)).toEqual([0, 0, 2, 2, 2, 3, 3]);
  });
});

describe('allocate', () => {
  it.each([
    [100, [1, 1, 1], [34, 33, 33]],
    [101, [1, 1, 1], [34, 34, 33]],
    [5, [3, 7], [2, 3]],
    [4900, [30, 10, 60], [1470, 490, 2940]],
    [1, [0, 1, 0], [0, 1, 0]],
    [-100, [1, 1, 1], [-34, -33, -33]],
    [0, [1, 2], [0, 0]],
  ])('splits %i by %j', (amountMinor, by, parts) => {
    expect(allocate(amountMinor, by)).toEqual(parts);
  });

  it('sums to the amount, each part within one unit of its share', () => {
    fc.assert(
      fc.property(amount, weights, (amountMinor, by) => {
        const parts = allocate(amountMinor, by);
        const total = by.reduce((sum, weight) => sum + weight, 0);
        expect(parts.reduce((sum, part) => sum + BigInt(part), 0n)).toBe(BigInt(amountMinor));
        expect(parts.filter((part, index) => by[index] === 0 && part !== 0)).toEqual([]);
        parts.forEach((part, index) => {
          const floor = (BigInt(amountMinor) * BigInt(by[index] ?? 0)) / BigInt(total);
          expect([floor, floor + 1n]).toContain(BigInt(part));
        });
      }),
    );
  });

  it('splits a refund into the mirror image of the sale', () => {
    fc.assert(
      fc.property(amount, weights, (amountMinor, by) => {
        const sale = allocate(amountMinor, by);
        expect(allocate(-amountMinor, by).map((part, index) => part + (sale[index] ?? 0))).toEqual(
          sale.map(() => 0),
        );
      }),
    );
  });

  it.each([[[]], [[0, 0]], [[-1, 2]], [[1.5]], [[Number.NaN]]])('refuses the weights %j', (by) => {
    expect(() => allocate(100, by)).toThrow(expect.objectContaining({ code: 'MONEY_WEIGHTS_INVALID' }));
  });
});

describe('discounts', () => {
  it.each([
    [4900, 3000, 3430],
    [999, 3333, 666],
    [5, 1000, 4], // half a unit off: the buyer's
    [1, 4999, 1],
    [100, 0, 100],
    [100, 10_000, 0],
  ])('%i less %i bps is %i', (price, bps, after) => {
    expect(applyDiscountBps(price, bps)).toBe(after);
  });

  it('stays between nothing and the price, and more discount never costs more', () => {
    const bps = fc.integer({ min: 0, max: 9_999 });
    fc.assert(
      fc.property(amount, bps, (price, rate) => {
        const after = applyDiscountBps(price, rate);
        expect(after).toBeGreaterThanOrEqual(0);
        expect(after).toBeLessThanOrEqual(price);
        expect(applyDiscountBps(price, rate + 1)).toBeLessThanOrEqual(after);
      }),
    );
  });

  it.each([-1, 10_001, 0.5, Number.NaN])('refuses %d bps', (bps) => {
    expect(() => applyDiscountBps(100, bps)).toThrow(expect.objectContaining({ code: 'PERCENT_INVALID' }));
  });

  it('refuses a negative price', () => {
    expect(() => applyDiscountBps(-1, 100)).toThrow(expect.objectContaining({ code: 'MONEY_INVALID' }));
  });
});

describe('percentages', () => {
  it.each([
    ['30%', 3000],
    ['12.5%', 1250],
    ['0.01%', 1],
    ['7.25 %', 725],
    ['100%', 10_000],
    ['0%', 0],
  ])('reads %s', (text, bps) => {
    expect(parsePercentBps(text)).toBe(bps);
  });

  it.each(['30', '%', '-5%', '100.01%', '1000%', '12.345%', '12,5%', '030%', '1e1%', ''])(
    'refuses %j',
    (text) => {
      expect(() => parsePercentBps(text)).toThrow(
        expect.objectContaining({
          code: 'PERCENT_INVALID',
          message: expect.stringContaining('30% or 12.5%'),
        }),
      );
    },
  );

  it('writes what it reads', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10_000 }), (bps) => {
        expect(parsePercentBps(bpsToText(bps))).toBe(bps);
      }),
    );
    expect([3000, 1250, 1, 10].map(bpsToText)).toEqual(['30%', '12.5%', '0.01%', '0.1%']);
  });
});
