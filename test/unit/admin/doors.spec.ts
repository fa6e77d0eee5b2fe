import { describe, expect, it } from 'vitest';
import { mailPolicy, mailTab, withLinksInNewTab } from '../../../src/admin/mailbox/mail-view.js';
import { isAtHome, isLoopback, isSameOrigin, returnPath } from '../../../src/admin/access/same-origin.js';

describe('a form of the owner', () => {
  const own = { baseUrl: 'https://shop.example.com', host: 'shop.example.com' };

  it.each([
    ['https://shop.example.com', true],
    [undefined, true],
    ['https://evil.example', false],
    ['http://shop.example.com', false],
    ['https://shop.example.com.evil.example', false],
    ['null', false],
  ])('from origin %s is taken: %s', (origin, taken) => {
    expect(isSameOrigin(origin, own)).toBe(taken);
  });

  it('is taken from the same loopback address it goes to, and from no other', () => {
    const local = { baseUrl: 'http://localhost:3000', host: '127.0.0.1:3000' };
    expect(isSameOrigin('http://127.0.0.1:3000', local)).toBe(true);
    expect(isSameOrigin('http://127.0.0.1:4000', local)).toBe(false);
    expect(isSameOrigin('http://rebound.example:3000', { ...local, host: 'rebound.example:3000' })).toBe(
      false,
    );
  });
});

describe('the way back after signing in', () => {
  it.each([
    ['/admin/funnels/niche-ebook', '/admin/funnels/niche-ebook'],
    ['/mailbox?cursor=MTI', '/mailbox?cursor=MTI'],
    ['//evil.example', '/admin'],
    ['/admin//evil.example', '/admin'],
    ['https://evil.example', '/admin'],
    ['/administrator', '/admin'],
    ['/admin\r\nSet-Cookie: a=b', '/admin'],
    [undefined, '/admin'],
  ])('for %j is %s', (next, path) => {
    expect(returnPath(next)).toBe(path);
  });
});

describe('this machine', () => {
  it.each([
    ['127.0.0.1', true],
    ['127.8.9.1', true],
    ['::1', true],
    ['localhost', true],
    ['0.0.0.0', false],
    ['127.example.com', false],
  ])('is %s: %s', (host, is) => {
    expect(isLoopback(host)).toBe(is);
  });
});

describe('a mail that is shown', () => {
  it('gets an origin of its own and no script', () => {
    const policy = mailPolicy('https://shop.example.com/');
    expect(policy).toContain('sandbox allow-popups');
    expect(policy).not.toMatch(/allow-scripts|allow-same-origin|script-src/);
    expect(policy).toContain("img-src 'self' data: https://shop.example.com;");
  });

  it('opens its links outside the frame', () => {
    expect(withLinksInNewTab('<html><head lang="en"><title>T</title></head></html>')).toBe(
      '<html><head lang="en"><base target="_blank"><title>T</title></head></html>',
    );
    expect(withLinksInNewTab('<p>bare</p>')).toBe('<base target="_blank"><p>bare</p>');
  });

  it('is shown as its reader sees it when an unknown part is asked for', () => {
    expect([mailTab('source'), mailTab('nothing'), mailTab(undefined)]).toEqual(['source', 'html', 'html']);
  });
});

describe('a visit on this machine', () => {
  const LOCAL = 'http://localhost:3000';
  const visit = (headers: object, more: { ip?: string; httpVersion?: string; baseUrl?: string } = {}) =>
    isAtHome(
      {
        ip: more.ip ?? '127.0.0.1',
        headers: { host: '127.0.0.1:3000', ...headers },
        raw: { httpVersion: more.httpVersion ?? '1.1' },
      },
      more.baseUrl ?? LOCAL,
    );

  it.each(['localhost:3000', '127.0.0.1:3000', '[::1]:3000', 'localhost'])('under %s is let in', (host) => {
    expect(visit({ host })).toBe(true);
  });

  it.each(['evil.example:3000', 'localhost.evil.example', '192.168.0.7:3000', '', 'a b', undefined])(
    'under the name %j is a page elsewhere that pointed its own name here',
    (host) => expect(visit({ host })).toBe(false),
  );

  it.each(['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-real-ip', 'via'])(
    'that a proxy handed on (%s) comes from elsewhere',
    (name) => expect(visit({ [name]: '203.0.113.9' })).toBe(false),
  );

  it('that a proxy handed on without a word comes from elsewhere: it serves another address, or speaks HTTP/1.0', () => {
    expect(visit({}, { baseUrl: 'https://shop.example.com' })).toBe(false);
    expect(visit({}, { httpVersion: '1.0' })).toBe(false);
    expect(visit({}, { ip: '203.0.113.9' })).toBe(false);
    expect(visit({}, { ip: '::1', baseUrl: 'http://[::1]:3000' })).toBe(true);
  });
});
