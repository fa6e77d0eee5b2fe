import { describe, expect, it } from 'vitest';
import { nextStatus, SUBSCRIBER_STATUSES } from '../../../src/subscribers/subscription-status.js';

describe('subscription status', () => {
  it('becomes active by confirming, also after unsubscribing', () => {
    expect(SUBSCRIBER_STATUSES.map((status) => nextStatus(status, 'confirm'))).toEqual([
      'active',
      'active',
      'active',
      null,
      null,
    ]);
  });

  it('ends at unsubscribed, but keeps the graver reasons', () => {
    expect(SUBSCRIBER_STATUSES.map((status) => nextStatus(status, 'unsubscribe'))).toEqual([
      'unsubscribed',
      'unsubscribed',
      'unsubscribed',
      'bounced',
      'complained',
    ]);
  });

  it('never leaves complained', () => {
    for (const event of ['confirm', 'unsubscribe', 'bounce', 'complain'] as const)
      expect([null, 'complained']).toContain(nextStatus('complained', event));
  });
});
