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
    expect(
      ['mailinator.com', 'eu.mailinator.com', 'a.b.yopmail.com', 'tempmail.dev'].every(isDisposableDomain),
    ).toBe(true);
    expect(
      ['mailinator-news.example', 'mailinator.com.example.org', 'com', ''].some(isDisposableDomain),
    ).toBe(false);
  });

  it('knows far more of them than a list by hand, and none of the large providers or of those who hide an address', () => {
    expect(['1secmail.com', 'guerrillamail.com', '0-mail.com'].every(isDisposableDomain)).toBe(true);
    const good = [
      'gmail.com',
      'outlook.com',
      'icloud.com',
      'gmx.de',
      'web.de',
      'qq.com',
      'mail.ru',
      'proton.me',
    ];
    const hiding = ['duck.com', 'privaterelay.appleid.com', 'mozmail.com', 'passmail.net'];
    expect([...good, ...hiding].filter(isDisposableDomain)).toEqual([]);
  });
});
