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
    grant: { until: deadline, price: null },
    now: deadline,
    ...changes,
  });
}

describe('the price of an offer', () => {
  const now = new Date(deadline.getTime() - 1);
  const asked = { price: reduced, discountBps: 3000, expired: false, until: deadline };

  it('is reduced until the last millisecond before the deadline', () => {
    expect(priceAt({ now })).toEqual(asked);
  });

  it('is full at the deadline itself', () => {
    expect(priceAt({ now: deadline })).toEqual({ ...asked, price: full, discountBps: 0, expired: true });
  });

  it('is full, and not expired, for somebody who was never granted it', () => {
    expect(priceAt({ grant: null })).toEqual({ ...asked, price: full, discountBps: 0, until: null });
  });

  it('stays reduced for a grant without an end', () => {
    expect(priceAt({ grant: { until: null, price: null } }).price).toEqual(reduced);
  });

  it('is reduced for everybody, for ever, when the offer has no personal deadline', () => {
    const open = { personalDeadline: false, now: new Date('2099-01-01T00:00:00Z') };
    expect(priceAt({ ...open, grant: null })).toEqual({ ...asked, until: null });
    expect(priceAt(open)).toEqual({ ...asked, until: null });
  });

  it('has nothing to end where there is no discount', () => {
    expect(priceAt({ discountBps: 0 })).toEqual({ ...asked, price: full, discountBps: 0 });
  });

  it('is what the mail said until its end, where more is asked by now, and today’s where it costs less', () => {
    const grant = { until: deadline, price: reduced };
    const dearer = { amountMinor: 6000, currency: 'EUR' };
    const kept = { ...asked, discountBps: 4283 };
    expect(priceAt({ now, grant, full: dearer })).toEqual(kept);
    // Also when the owner has taken the deadline, or the discount, out of the funnel.
    expect(priceAt({ now, grant, full: dearer, personalDeadline: false })).toEqual(kept);
    expect(priceAt({ now, grant, discountBps: 0, personalDeadline: false }).price).toEqual(reduced);
    expect(priceAt({ grant, full: dearer })).toEqual({
      ...asked,
      price: dearer,
      discountBps: 0,
      expired: true,
    });
    expect(priceAt({ now, grant, discountBps: 5000 }).price.amountMinor).toBe(2450);
    // A promise without an end is of the discount, not of a price.
    expect(priceAt({ now, grant: { ...grant, until: null }, full: dearer }).price.amountMinor).toBe(4200);
    // Nor is an amount of one currency asked in another.
    const dollars = { amountMinor: 6000, currency: 'USD' };
    expect(priceAt({ now, grant, full: dollars }).price).toEqual({ amountMinor: 4200, currency: 'USD' });
  });

  it('can be nothing at all', () => {
    expect(priceAt({ discountBps: 10_000, personalDeadline: false }).price.amountMinor).toBe(0);
  });
});
