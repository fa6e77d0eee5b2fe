import { describe, expect, it } from 'vitest';
import { funnelRates, mainRevenue, rateOf, stepReports } from '../../../src/analytics/funnel-report.js';

describe('rates', () => {
  it('are null, not zero, where there is nothing to divide by', () => {
    expect(rateOf(0, 0)).toBeNull();
    expect(rateOf(3, 0)).toBeNull();
    expect(rateOf(0, 5)).toBe(0);
  });

  it('never pass 1', () => {
    expect(rateOf(7, 5)).toBe(1);
  });

  it('compare each stage with the one before it', () => {
    expect(
      funnelRates({ visitors: 200, signUps: 50, confirmed: 40, offerViews: 10, orders: 2, refunds: 0 }),
    ).toEqual({
      signUp: 0.25,
      confirmation: 0.8,
      offerView: 0.25,
      order: 0.2,
      visitorToOrder: 0.01,
    });
  });
});

describe('steps', () => {
  const sent = {
    stepKey: 'story',
    template: 'emails/story',
    sent: 4,
    opened: 2,
    openedMachine: 1,
    clicked: 1,
  };

  it('stand in the order of the sequence, with zeros where nothing was sent', () => {
    const steps = [
      { key: 'welcome', kind: 'email', template: 'emails/welcome', path: [] },
      { key: 'story', kind: 'email', template: 'emails/story', path: [{ split: 'fork', arm: 'long' }] },
    ];
    expect(stepReports(steps, [sent])).toEqual([
      { ...steps[0], sent: 0, opened: 0, openedMachine: 0, clicked: 0, openRate: null, clickRate: null },
      { ...steps[1], sent: 4, opened: 2, openedMachine: 1, clicked: 1, openRate: 0.5, clickRate: 0.25 },
    ]);
  });

  it('keep the numbers of a step that was taken out of the sequence', () => {
    expect(stepReports([], [sent])).toMatchObject([
      { key: 'story', kind: 'removed', template: 'emails/story', sent: 4 },
    ]);
  });
});

describe('revenue', () => {
  it('is never added up over currencies', () => {
    const revenues = [
      { amountMinor: 900, currency: 'USD' },
      { amountMinor: 100, currency: 'EUR' },
    ];
    expect(mainRevenue(revenues, 'EUR')).toEqual({ amountMinor: 100, currency: 'EUR' });
    expect(mainRevenue(revenues, 'JPY')).toEqual({ amountMinor: 0, currency: 'JPY' });
    expect(mainRevenue([], 'JPY')).toEqual({ amountMinor: 0, currency: 'JPY' });
  });
});
