import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { classifyHit, isLoopback, isMachineUserAgent, type Hit } from '../../../src/tracking/hit-class.js';

const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';
const CORPUS = fileURLToPath(
  new URL('../../../../shared/corpora/user-agents/machines.json', import.meta.url),
);
const AT = new Date('2026-03-02T09:00:10Z');

const hit = (change: Partial<Hit> = {}): Hit => ({
  kind: 'click',
  method: 'GET',
  userAgent: FIREFOX,
  purpose: undefined,
  fromLoopback: false,
  mailboxOn: false,
  at: AT,
  acceptedAt: new Date('2026-03-02T09:00:00Z'),
  ...change,
});

describe('who stands behind a hit', () => {
  it.each<[string, Partial<Hit>, string]>([
    ['a browser ten seconds after the mail', {}, 'human'],
    ['a HEAD request', { method: 'HEAD' }, 'scanner'],
    [
      'a HEAD request beside the built-in mailbox',
      { method: 'HEAD', mailboxOn: true, fromLoopback: true },
      'scanner',
    ],
    ['a browser that fetches ahead', { purpose: 'prefetch;prerender' }, 'proxy'],
    [
      'a script beside the built-in mailbox',
      { userAgent: undefined, mailboxOn: true, fromLoopback: true },
      'human',
    ],
    ['a script on loopback with a real relay', { userAgent: 'curl/8.5.0', fromLoopback: true }, 'scanner'],
    [
      'a script from elsewhere with the built-in mailbox',
      { userAgent: 'curl/8.5.0', mailboxOn: true },
      'scanner',
    ],
    ['no user agent', { userAgent: undefined }, 'scanner'],
    ['a click within two seconds', { acceptedAt: new Date(AT.getTime() - 1_999) }, 'scanner'],
    ['a click after two seconds', { acceptedAt: new Date(AT.getTime() - 2_000) }, 'human'],
    ['an open within two seconds', { kind: 'open', acceptedAt: AT }, 'human'],
    [
      'Gmail’s picture proxy',
      {
        kind: 'open',
        userAgent:
          'Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)',
      },
      'proxy',
    ],
    ['Apple’s mail privacy proxy', { kind: 'open', userAgent: 'Mozilla/5.0' }, 'proxy'],
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
});

describe('machine user agents', () => {
  const known = existsSync(CORPUS);
  if (!known) console.log('Left out: the corpus of user agents is not at ../shared/corpora/user-agents.');

  it.skipIf(!known)('recognises every crawler and scanner of the corpus', () => {
    const corpus = JSON.parse(readFileSync(CORPUS, 'utf8')) as { userAgent: string }[];
    expect(corpus.length).toBeGreaterThan(1_500);
    expect(
      corpus.map(({ userAgent }) => userAgent).filter((userAgent) => !isMachineUserAgent(userAgent)),
    ).toEqual([]);
  });

  it.each([
    FIREFOX,
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1',
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 380.0.0.28.104 (iPhone15,2; iOS 18_5; en_US; en; scale=3.00; 1179x2556; IABMV/1)',
    'Mozilla/5.0 (Linux; Android 15; Pixel 8 Build/AP4A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/142.0.0.0 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/520.0.0.0;]',
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Thunderbird/140.0',
  ])('leaves people alone: %s', (userAgent) => {
    expect(isMachineUserAgent(userAgent)).toBe(false);
  });
});
