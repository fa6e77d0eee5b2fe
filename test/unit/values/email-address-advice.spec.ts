import { describe, expect, it } from 'vitest';
import { reviewEmailAddress } from '../../../src/values/email-address-advice.js';
import { isDisposableDomain } from '../../../src/values/disposable-domains.js';

describe('advice on an address', () => {
  it.each([
    ['Ada@gmial.com', { suggestion: 'Ada@gmail.com', disposable: false, role: false }],
    ['info@example.com', { suggestion: null, disposable: false, role: true }],
    ['ada@mailinator.com', { suggestion: null, disposable: true, role: false }],
    ['postmaster+x@yopmail.com', { suggestion: null, disposable: true, role: true }],
    ['ada@example.com', { suggestion: null, disposable: false, role: false }],
  ])('%s', (address, advice) => {
    expect(reviewEmailAddress(address)).toEqual({ ok: true, ...advice });
  });

  it('is not given on what is no address', () => {
    expect(reviewEmailAddress('ada')).toEqual({ ok: false, reason: 'it has no @' });
  });

  it('knows throw-away mailboxes below their domains, and nobody who is only called alike', () => {
    expect(['mailinator.com', 'eu.mailinator.com', 'a.b.yopmail.com'].every(isDisposableDomain)).toBe(true);
    expect(['notmailinator.com', 'mailinator.com.example.org', 'com', ''].some(isDisposableDomain)).toBe(
      false,
    );
  });
});
