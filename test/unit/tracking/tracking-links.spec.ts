import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  isDeceptiveLink,
  isTrackable,
  locationOf,
  safeClickTarget,
} from '../../../src/tracking/click-target.js';
import {
  clickToken,
  openToken,
  readClickToken,
  readOpenToken,
} from '../../../src/tracking/tracking-token.js';
import { visitSource } from '../../../src/tracking/visit-source.js';
import { addressAsRead } from '../../../src/values/url.js';

const SECRET = Buffer.alloc(32, 7);

describe('click and open tokens', () => {
  it.each([
    { messageId: '12', linkId: '34', url: null },
    { messageId: '9223372036854775807', linkId: '1', url: 'https://example.com/a?b=c&d=ü' },
  ])('give back what was signed: %o', (target) => {
    expect(readClickToken(SECRET, clickToken(SECRET, target))).toEqual(target);
  });

  it('are refused with any byte changed, another key or another purpose', () => {
    const token = clickToken(SECRET, { messageId: '12', linkId: '34', url: 'https://example.com/' });
    const bytes = Buffer.from(token, 'base64url');
    for (let at = 0; at < bytes.length; at++) {
      const forged = Buffer.from(bytes);
      forged[at] = (forged[at] ?? 0) ^ 1;
      expect(readClickToken(SECRET, forged.toString('base64url'))).toBeNull();
    }
    expect(readClickToken(Buffer.alloc(32, 8), token)).toBeNull();
    expect(readOpenToken(SECRET, token)).toBeNull();
    expect(readClickToken(SECRET, openToken(SECRET, '12'))).toBeNull();
    expect(readOpenToken(SECRET, openToken(SECRET, '12'))).toBe('12');
  });
});

describe('where a click may lead', () => {
  it.each([
    'https://example.com/',
    'http://example.com:8080/a?b=c#d',
    'https://example.com/ü',
    'HTTPS://EXAMPLE.com',
  ])('goes to %s unchanged', (url) => expect(safeClickTarget(url)).toBe(url));

  it.each([
    'javascript:alert(1)',
    '//evil.example/',
    '/relative',
    'https:\\\\evil.example',
    'https:///evil.example',
    'https://ada@evil.example/',
    'https://example.com\\@evil.example/',
    'https://example.com/a\u0001b',
    'https://exam ple.com/',
    'https://example.com /a',
    'ftp://example.com/',
    'data:text/html,hi',
    `https://example.com/${'a'.repeat(5_000)}`,
    '',
  ])('refuses %j', (url) => expect(safeClickTarget(url)).toBeNull());

  it.each([
    [' https://example.com/a\n ', 'https://example.com/a'],
    ['https://exam\tple.com/\r\na', 'https://example.com/a'],
    ['https://example.com/my guide.pdf', 'https://example.com/my%20guide.pdf'],
    ['https://bücher.de/ü', 'https://xn--bcher-kva.de/%C3%BC'],
    ['https://Bücher.de:8443?a', 'https://xn--bcher-kva.de:8443?a'],
    ['HTTPS://EXAMPLE.com', 'HTTPS://EXAMPLE.com'],
  ])('sends whoever presses %j to %s', (url, location) => expect(locationOf(url)).toBe(location));
});

describe('where a visitor came from', () => {
  const source = (referer: string | undefined, query: unknown) =>
    visitSource({ headers: { referer }, query }, 'https://shop.example');

  it('keeps the page that led here without its query, and the campaign', () => {
    expect(
      source('https://blog.example/post?mail=ada@example.com', { utm_source: 'blog', utm_term: '', m: 'x' }),
    ).toEqual({
      referrer: 'https://blog.example/post',
      utm: { source: 'blog' },
    });
  });

  it('leaves out our own pages and what is no address', () => {
    expect(source('https://shop.example/p/niches', {})).toEqual({ referrer: null, utm: null });
    expect(source('android-app://mail', null).referrer).toBeNull();
    expect(source('not an address', undefined).referrer).toBeNull();
  });
});

describe('links that are saved', () => {
  it.each([
    'https://example.com/a?b=c',
    'mailto:ada@example.com',
    'tel:+431234',
    '#top',
    '{{ unsubscribeUrl }}',
    '{{ baseUrl }}/p/niches',
    'https://example.com/{{ subscriber.email | url_encode }}',
  ])('may be %j', (href) => expect(isDeceptiveLink(href)).toBe(false));

  it.each([
    'javascript:alert(1)',
    ' JavaScript:alert(1)',
    'java\nscript:alert(1)',
    'javascript:{{ x }}',
    'data:text/html,hi',
    'vbscript:x',
    '//evil.example',
    '\\\\evil.example',
    '/\\evil.example',
    'https:\\\\evil.example',
    'https:/\\evil.example',
    'https://good.example@evil.example/',
    'https:///evil.example',
    'http://',
  ])('are refused as %j', (href) => expect(isDeceptiveLink(href)).toBe(true));

  it('stay as they are when their filled-in address cannot travel in a token', () => {
    expect(isTrackable('https://example.com/a')).toBe(true);
    expect(isTrackable(`https://example.com/${'ü'.repeat(400)}`)).toBe(false);
    expect(isTrackable('https://ada@example.com/')).toBe(false);
    const longest = `https://example.com/${'a'.repeat(630)}`;
    expect(isTrackable(longest)).toBe(true);
    const token = clickToken(SECRET, { messageId: '9223372036854775807', linkId: '1', url: longest });
    expect(token.length).toBeLessThan(1_000);
    expect(readClickToken(SECRET, token)?.url).toBe(longest);
  });
});

describe('whatever is asked for', () => {
  const ids = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }).map(String);

  it('a token with any byte changed, cut or added is none of ours', () => {
    fc.assert(
      fc.property(
        ids,
        ids,
        fc.option(fc.webUrl()),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (messageId, linkId, url, place, change) => {
          const token = clickToken(SECRET, { messageId, linkId, url });
          expect(readClickToken(SECRET, token)).toEqual({ messageId, linkId, url });
          const bytes = Buffer.from(token, 'base64url');
          const at = place % bytes.length;
          bytes[at] = (bytes[at] ?? 0) ^ change;
          expect(readClickToken(SECRET, bytes.toString('base64url'))).toBeNull();
          expect(readClickToken(SECRET, token.slice(0, place % token.length))).toBeNull();
          expect(readClickToken(SECRET, token + token.slice(0, 1 + (place % 4)))).toBeNull();
        },
      ),
    );
  });

  it('a host with letters beyond ASCII is one however often it was asked for', () => {
    const url = 'https://müller.example/';
    const wrong = Array.from({ length: 20_000 }, () => safeClickTarget(url)).filter(
      (target) => target !== url,
    );
    expect(wrong).toHaveLength(0);
  });

  it('a target is passed on as browsers read it or not at all, and leads to the host it shows', () => {
    const pieces = fc.constantFrom(
      'http:',
      'https:',
      '//',
      '/',
      '\\',
      '@',
      ':',
      'evil.example',
      'a',
      '.',
      '#',
      '?',
      '\t',
      ' ',
      '\n',
      '%2f',
      '[::1]',
      'ü',
      'javascript:',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.webUrl(),
          fc.string(),
          fc.array(pieces, { maxLength: 8 }).map((all) => all.join('')),
        ),
        (url) => {
          const target = safeClickTarget(url);
          if (target === null) return;
          expect(target).toBe(addressAsRead(url));
          const shown = /^https?:\/\/(\[[^\]]*\]|[^/?#:]*)/i.exec(target)?.[1] ?? '';
          expect(new URL(url).hostname).toBe(new URL(`http://${shown}/`).hostname);
          const location = locationOf(url) ?? '';
          expect(location).not.toMatch(/^https?:\/\/[^/?#]*%/i);
          expect(location).toMatch(/^https?:\/\/[\u0021-\u007e]+$/i);
          expect(new URL(location).href).toBe(new URL(url).href);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
