import { describe, expect, it } from 'vitest';
import { classifyHit, type Hit, isLoopback } from '../../../src/tracking/hit-class.js';
import { networkOf } from '../../../src/tracking/mail-networks.js';

const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';
const STRANGER =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Peeper/3 Chrome/142.0.0.0 Safari/537.36';
const AT = new Date('2026-03-02T09:00:10Z');

const hit = (change: Partial<Hit> = {}): Hit => ({
  kind: 'click',
  method: 'GET',
  userAgent: FIREFOX,
  purpose: null,
  hasAcceptLanguage: true,
  fetchDest: 'document',
  network: null,
  local: false,
  at: AT,
  acceptedAt: new Date('2026-03-02T09:00:00Z'),
  ...change,
});

describe('who stands behind a hit', () => {
  it.each<[string, Partial<Hit>, string]>([
    ['a browser ten seconds after the mail', {}, 'human'],
    ['a HEAD request', { method: 'HEAD' }, 'scanner'],
    ['a HEAD request beside the built-in mailbox', { method: 'HEAD', local: true }, 'scanner'],
    ['a browser that fetches ahead', { purpose: 'prefetch;prerender' }, 'proxy'],
    [
      'a script beside the built-in mailbox',
      { userAgent: null, local: true, hasAcceptLanguage: false },
      'human',
    ],
    ['curl beside the built-in mailbox', { userAgent: 'curl/8.5.0', local: true }, 'human'],
    ['a browser beside it, at once', { local: true, at: new Date('2026-03-02T09:00:00Z') }, 'human'],
    [
      'a crawler beside the built-in mailbox',
      { userAgent: 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)', local: true },
      'scanner',
    ],
    ['a script from elsewhere', { userAgent: 'curl/8.5.0' }, 'scanner'],
    ['no user agent', { userAgent: null }, 'scanner'],
    ['a click within two seconds', { acceptedAt: new Date(AT.getTime() - 1_999) }, 'scanner'],
    ['a click after two seconds', { acceptedAt: new Date(AT.getTime() - 2_000) }, 'human'],
    ['an open within two seconds', { kind: 'open', acceptedAt: AT }, 'human'],
    ['a link loaded as a picture of some page', { fetchDest: 'image' }, 'scanner'],
    ['a picture loaded as a picture', { kind: 'open', fetchDest: 'image' }, 'human'],
    ['a browser that names no language', { hasAcceptLanguage: false }, 'unknown'],
    ['a mail program that names no language', { kind: 'open', hasAcceptLanguage: false }, 'human'],
    ['a hit of which the language was not kept', { hasAcceptLanguage: null }, 'human'],
    ['a browser with a strange name on it', { userAgent: STRANGER }, 'unknown'],
    ['an open from Apple’s network', { kind: 'open', network: 'apple' }, 'proxy'],
    ['a click from Apple’s network', { network: 'apple' }, 'human'],
    [
      'Gmail’s picture proxy',
      {
        kind: 'open',
        userAgent:
          'Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)',
      },
      'proxy',
    ],
    [
      'Yahoo’s picture proxy',
      { kind: 'open', userAgent: 'YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html' },
      'proxy',
    ],
    ['Apple’s mail privacy proxy', { kind: 'open', userAgent: 'Mozilla/5.0' }, 'proxy'],
    [
      'Apple’s mail privacy proxy beside the mailbox',
      { kind: 'open', userAgent: 'Mozilla/5.0', local: true },
      'proxy',
    ],
  ])('%s', (_, change, expected) => {
    expect(classifyHit(hit(change)).class).toBe(expected);
  });

  it('knows every loopback address and no other', () => {
    expect(['127.0.0.1', '127.8.9.1', '::1', '::ffff:127.0.0.1'].map(isLoopback)).toEqual([
      true,
      true,
      true,
      true,
    ]);
    expect(['10.0.0.1', '128.0.0.1', '::2', '::ffff:10.0.0.1', '1.127.0.0'].map(isLoopback)).not.toContain(
      true,
    );
  });

  it('knows the networks of mail services', () => {
    expect(
      ['17.58.1.2', '::ffff:17.58.1.2', '66.249.84.9', '18.0.0.1', '2001:db8::1', 'x'].map(networkOf),
    ).toEqual(['apple', 'apple', 'google', null, null, null]);
  });
});
