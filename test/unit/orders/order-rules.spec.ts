import { describe, expect, it } from 'vitest';
import { checkoutTotal, priceStillHolds } from '../../../src/orders/checkout.js';
import { checkoutForm, typedValues } from '../../../src/orders/checkout.schemas.js';
import { orderNumber } from '../../../src/orders/order-number.js';
import { canBecome, ORDER_STATUSES } from '../../../src/orders/order-status.js';
import { orderToken, readOrderToken } from '../../../src/orders/order-token.js';

describe('order numbers', () => {
  it('carry the year in UTC and at least six digits', () => {
    expect(orderNumber('123', new Date('2026-12-31T23:59:59Z'))).toBe('WS-2026-000123');
    expect(orderNumber('1234567', new Date('2027-01-01T00:00:00Z'))).toBe('WS-2027-1234567');
    // As ids are once a backup was restored.
    expect(orderNumber('1796300000000123', new Date('2026-12-31T23:59:59Z'))).toBe('WS-2026-HOQGTSWPDN');
  });
});

describe('order status', () => {
  it('moves only along the ways money moves', () => {
    const ways = ORDER_STATUSES.flatMap((from) =>
      ORDER_STATUSES.filter((to) => canBecome(from, to)).map((to) => `${from} > ${to}`),
    );
    expect(ways).toEqual(['pending > paid', 'pending > declined', 'paid > refunded', 'declined > paid']);
  });
});

describe('the checkout', () => {
  const price = { amountMinor: 3430, currency: 'EUR' };

  it('adds the bump at its full price', () => {
    expect(checkoutTotal(price, { amountMinor: 900, currency: 'EUR' })).toEqual({
      amountMinor: 4330,
      currency: 'EUR',
    });
    expect(checkoutTotal(price, null)).toEqual(price);
  });

  it('takes nobody more than they saw', () => {
    expect(priceStillHolds({ amountMinor: 4900, currency: 'EUR' }, 3430, true)).toBe(false);
    expect(priceStillHolds({ amountMinor: 4900, currency: 'EUR' }, 4900, true)).toBe(true);
    expect(priceStillHolds(price, 4900, false)).toBe(true);
  });

  it('refuses a lapsed price to a caller who saw none', () => {
    expect(priceStillHolds({ amountMinor: 4900, currency: 'EUR' }, null, true)).toBe(false);
    expect(priceStillHolds(price, null, false)).toBe(true);
  });

  it.each([
    [{ email: 'nobody' }, 'email'],
    [{ email: 'a@example.com\r\nBcc: b@example.com' }, 'email'],
    [{ email: ['a@example.com', 'b@example.com'] }, 'email'],
    [{ email: 'a@example.com', name: 'x'.repeat(121) }, 'name'],
    [{ email: 'a@example.com', name: 'Ada\nLovelace' }, 'name'],
    [{ email: 'a@example.com', bump: 'maybe' }, 'bump'],
  ])('names the field of %j that is wrong', (body, field) => {
    const parsed = checkoutForm.safeParse(body);
    expect(parsed.error?.issues.map(({ path }) => path[0])).toEqual([field]);
  });

  it('keeps what was typed, whatever it is', () => {
    expect(typedValues({ email: 'nobody', name: ['x'], bump: 'yes' })).toEqual({
      email: 'nobody',
      name: '',
      bump: true,
    });
    expect(typedValues(null)).toEqual({ email: '', name: '', bump: false });
  });
});

describe('links to an order', () => {
  const secret = Buffer.alloc(32, 7);
  const from = new Date('2026-03-02T09:00:00Z');
  const after = (hours: number): Date => new Date(from.getTime() + hours * 3_600_000);

  it('open the payment for a day, and not a moment longer', () => {
    const token = orderToken(secret, 'order', { id: '42', from });
    expect(readOrderToken(secret, 'order', { token, now: new Date(after(24).getTime() - 1) })).toBe('42');
    expect(readOrderToken(secret, 'order', { token, now: after(24) })).toBe('expired');
  });

  it('do not open the downloads with the link to the payment', () => {
    const token = orderToken(secret, 'order', { id: '42', from });
    expect(readOrderToken(secret, 'order-page', { token, now: from })).toBeNull();
  });
});
