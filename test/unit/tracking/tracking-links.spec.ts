import { describe, expect, it } from 'vitest';
import { safeClickTarget } from '../../../src/tracking/click-target.js';
import {
  clickToken,
  openToken,
  readClickToken,
  readOpenToken,
} from '../../../src/tracking/tracking-token.js';
import { visitSource } from '../../../src/tracking/visit-source.js';

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
    'https://example.com/a\nb',
    ' https://example.com/',
    'ftp://example.com/',
    'data:text/html,hi',
    `https://example.com/${'a'.repeat(5_000)}`,
    '',
  ])('refuses %j', (url) => expect(safeClickTarget(url)).toBeNull());
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
