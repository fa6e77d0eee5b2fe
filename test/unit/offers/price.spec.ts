import { describe, expect, it } from 'vitest';
import { offerPrice, type OfferPriceQuestion } from '../../../src/offers/price.js';

const deadline = new Date('2026-03-05T09:00:00Z');
const full = { amountMinor: 4900, currency: 'EUR' };
const reduced = { amountMinor: 3430, currency: 'EUR' };

function priceAt(changes: Partial<OfferPriceQuestion>): ReturnType<typeof offerPrice> {
  return offerPrice({
    full,
    discountBps: 3000,
    personalDeadline: true,
    grant: { expiresAt: deadline, price: null },
    now: deadline,
    ...changes,
  });
}

describe('the price of an offer', () => {
  it('is reduced until the last millisecond before the deadline', () => {
    const now = new Date(deadline.getTime() - 1);
    expect(priceAt({ now })).toEqual({ price: reduced, discountBps: 3000, expired: false });
  });

  it('is full at the deadline itself', () => {
    expect(priceAt({ now: deadline })).toEqual({ price: full, discountBps: 0, expired: true });
  });

  it('is full, and not expired, for somebody who was never granted it', () => {
    expect(priceAt({ grant: null })).toEqual({ price: full, discountBps: 0, expired: false });
  });

  it('stays reduced for a grant without an end', () => {
    expect(priceAt({ grant: { expiresAt: null, price: null } }).price).toEqual(reduced);
  });

  it('is reduced for everybody, for ever, when the offer has no personal deadline', () => {
    const open = { personalDeadline: false, now: new Date('2099-01-01T00:00:00Z') };
    expect(priceAt({ ...open, grant: null })).toEqual({ price: reduced, discountBps: 3000, expired: false });
    expect(priceAt(open)).toEqual({ price: reduced, discountBps: 3000, expired: false });
  });

  it('has nothing to end where there is no discount', () => {
    expect(priceAt({ discountBps: 0 })).toEqual({ price: full, discountBps: 0, expired: false });
  });

  it('is what the mail said where the product costs more by now, and today’s where it costs less', () => {
    const now = new Date(deadline.getTime() - 1);
    const grant = { expiresAt: deadline, price: reduced };
    const dearer = { amountMinor: 6000, currency: 'EUR' };
    expect(priceAt({ now, grant, full: dearer })).toEqual({
      price: reduced,
      discountBps: 4283,
      expired: false,
    });
    expect(priceAt({ grant, full: dearer })).toEqual({ price: dearer, discountBps: 0, expired: true });
    expect(priceAt({ now, grant, discountBps: 5000 }).price.amountMinor).toBe(2450);
    // Nor is an amount of one currency asked in another.
    const dollars = { amountMinor: 6000, currency: 'USD' };
    expect(priceAt({ now, grant, full: dollars }).price).toEqual({ amountMinor: 4200, currency: 'USD' });
    expect(priceAt({ now, grant, full: dearer, personalDeadline: false }).price.amountMinor).toBe(4200);
  });

  it('can be nothing at all', () => {
    expect(priceAt({ discountBps: 10_000, personalDeadline: false }).price.amountMinor).toBe(0);
  });
});
