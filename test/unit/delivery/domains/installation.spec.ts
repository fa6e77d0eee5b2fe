import { describe, expect, it } from 'vitest';
import { checkCertificate } from '../../../../src/delivery/domains/certificate.js';
import { checkReverse } from '../../../../src/delivery/domains/reverse.probe.js';
import { dnsOf, type Zone } from '../../../support/zone.js';

describe('D6 PTR', () => {
  const zone: Zone = {
    'PTR 192.0.2.1': ['mail.example.com'],
    'A mail.example.com': ['192.0.2.1'],
    'PTR 192.0.2.2': ['other.example.com'],
    'A other.example.com': ['192.0.2.9'],
    'PTR 2001:db8::1': ['six.example.com'],
    'AAAA six.example.com': ['2001:db8:0:0::1'],
    'PTR 192.0.2.4': ['FAIL'],
    'PTR 192.0.2.5': ['silent.example.com', 'five.example.com'],
    'A silent.example.com': ['FAIL'],
    'A five.example.com': ['192.0.2.5'],
    'PTR 192.0.2.6': ['silent.example.com', 'other.example.com'],
  };
  it.each([
    ['192.0.2.1', /^ok 192\.0\.2\.1 is mail\.example\.com/],
    ['192.0.2.2', /^fail .* does not lead back/],
    ['192.0.2.3', /^fail .* has no name/],
    ['2001:db8::1', /^ok /],
    ['192.0.2.4', /^unknown /],
    ['192.0.2.5', /^ok 192\.0\.2\.5 is five\.example\.com/],
    ['192.0.2.6', /^unknown /],
    ['here', /^fail "here" is no IP address/],
  ])('of %s', async (ip, expected) => {
    const { level, detail } = await checkReverse(dnsOf(zone), ip);
    expect(`${level} ${detail}`).toMatch(expected);
  });
});

describe('D7 certificate', () => {
  const now = new Date('2026-03-02T09:00:00Z');
  const until = (validUntil: string, error: string | null = null) =>
    ({ kind: 'seen', error, validUntil: new Date(validUntil) }) as const;
  it.each([
    ['http', null, /^fail links in mails start with/],
    ['a good one', until('2026-05-02T00:00:00Z'), /^ok .* 60 days/],
    ['one that ends soon', until('2026-03-09T09:00:00Z'), /^warn .* 7 days/],
    ['one that has ended', until('2026-03-01T09:00:00Z'), /^fail .* run out/],
    [
      'one for another name',
      until('2026-05-02T00:00:00Z', 'ERR_TLS_CERT_ALTNAME_INVALID'),
      /^fail .*ALTNAME/,
    ],
    ['no answer', { kind: 'unreached', reason: 'no answer within 5 s' } as const, /^unknown could not reach/],
  ])('with %s', (_, seen, expected) => {
    const { level, detail } = checkCertificate('https://mail.example.com', seen, now);
    expect(`${level} ${detail}`).toMatch(expected);
  });
});
