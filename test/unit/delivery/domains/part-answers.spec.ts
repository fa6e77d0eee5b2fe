import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { dkimRecord, type DkimKey } from '../../../../src/delivery/signing/dkim.js';
import { checkDomain, type DomainUnderTest } from '../../../../src/delivery/domains/domain.probe.js';
import { dnsOf, type Zone } from '../../../support/zone.js';

const keyOf = (selector: string, type: 'rsa' | 'ed25519'): DkimKey => ({
  domain: 'example.com',
  selector,
  privateKey:
    type === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
      : generateKeyPairSync('ed25519').privateKey,
});
const RSA = keyOf('s1', 'rsa');
const OTHER = keyOf('s2', 'rsa');
const ED = keyOf('e1', 'ed25519');
const published = (key: DkimKey): Zone => ({
  [`TXT ${key.selector}._domainkey.example.com`]: [dkimRecord(createPublicKey(key.privateKey))],
});
const silent = (...names: string[]): Zone => Object.fromEntries(names.map((name) => [name, ['FAIL']]));

async function tried(id: string, zone: Zone, change: Partial<DomainUnderTest> = {}): Promise<string> {
  const domain = { from: 'example.com', returnPath: 'example.com', keys: [], ...change };
  const findings = await checkDomain(dnsOf(zone), domain, { remote: null, now: new Date(0) });
  const found = findings.find((one) => one.id === id);
  return `${found?.level} ${found?.detail}`;
}

describe('a DNS that answers a part of the questions', () => {
  const spf = (terms: string): Zone => ({ 'TXT example.com': [`v=spf1 ${terms} -all`] });
  const a: Zone = { 'A a.test': ['192.0.2.1'] };
  it.each<[string, Zone, RegExp]>([
    [
      'an address',
      { ...spf('a:a.test a:b.test'), ...a, ...silent('A b.test') },
      /^unknown could not ask for b\.test \(ECONNREFUSED\)/,
    ],
    ['a mail server', { ...spf('mx:b.test'), ...silent('MX b.test') }, /^unknown could not ask for b\.test/],
    [
      'an address of version six alone',
      { ...spf('a:b.test'), ...silent('AAAA b.test') },
      /^unknown could not ask for b\.test/,
    ],
    ['one that nobody needs', { ...spf('a:a.test'), ...a, ...silent('AAAA a.test') }, /^ok /],
    [
      'an address beside three names that do not exist',
      { ...spf('a:x.test a:y.test mx:z.test a:b.test'), ...silent('A b.test') },
      /^fail could not ask for b\.test \(ECONNREFUSED\); 3 of its names do not exist/,
    ],
  ])('does not call an SPF record good without the answer for %s', async (_, zone, expected) =>
    expect(await tried('D1', zone)).toMatch(expected),
  );

  it('forgets no key that is wrong because another one could not be asked for', async () => {
    const at = 'TXT s1._domainkey.example.com';
    expect(await tried('D2', silent(at), { keys: [RSA, OTHER] })).toMatch(
      /^fail could not ask for s1\._domainkey\.example\.com \(ECONNREFUSED\); s2\._domainkey\.example\.com does not exist/,
    );
    expect(await tried('D2', { ...silent(at), ...published(OTHER) }, { keys: [OTHER, RSA] })).toMatch(
      /^unknown could not ask for s1/,
    );
  });

  it('stops nothing for want of the second record while it does not know the first one', async () => {
    const zone = silent('TXT s1._domainkey.example.com');
    expect(await tried('D2', zone, { keys: [RSA, ED] })).toMatch(/^warn could not ask for s1.*; e1\./);
    expect(await tried('D2', zone, { keys: [ED, RSA] })).toMatch(/^warn e1\..*; could not ask for s1/);
  });
});

describe('a DMARC record of which a part could not be asked for', () => {
  const record = (tags: string): string[] => [`v=DMARC1; ${tags}; rua=mailto:d@example.com`];
  const below = { from: 'news.example.com', returnPath: 'b.example.com' };

  it('stays when nobody answers for the top of the tree', async () => {
    const zone = { 'TXT _dmarc.example.com': record('p=quarantine; aspf=s'), ...silent('TXT _dmarc.com') };
    expect(await tried('D3', zone)).toBe('ok p=quarantine at _dmarc.example.com');
    // Its strict alignment counts as well.
    expect(await tried('D4', zone, { returnPath: 'b.example.com' })).toMatch(/^fail the return path/);
  });

  it('is missing all the same when nobody answers for the top of the tree', async () => {
    expect(await tried('D3', silent('TXT _dmarc.com'))).toMatch(/^fail there is no valid record/);
  });

  it('is not known when the one above may be the one that counts', async () => {
    expect(await tried('D3', silent('TXT _dmarc.example.com'), below)).toBe(
      'unknown could not ask for _dmarc.example.com (ECONNREFUSED)',
    );
  });

  it('is not that of the domain above when nobody answers for the domain itself', async () => {
    const zone = { 'TXT _dmarc.example.com': record('p=reject'), ...silent('TXT _dmarc.news.example.com') };
    expect(await tried('D3', zone, below)).toBe(
      'unknown could not ask for _dmarc.news.example.com (ECONNREFUSED)',
    );
    expect(await tried('D4', zone, below)).toMatch(/^unknown .*strict/);
    expect(await tried('D4', zone, { from: 'news.example.com', returnPath: 'news.example.com' })).toMatch(
      /^ok /,
    );
  });

  it('of the domain itself counts whatever stands above', async () => {
    const zone = { 'TXT _dmarc.news.example.com': record('p=reject'), ...silent('TXT _dmarc.example.com') };
    expect(await tried('D3', zone, below)).toBe('ok p=reject at _dmarc.news.example.com');
    // As older receivers see it, by the list of public suffixes.
    expect(await tried('D4', zone, below)).toMatch(/^ok /);
  });

  it('names what is known beside what is not', async () => {
    const zone = {
      'TXT _dmarc.example.com': record('p=none; sp=reject'),
      ...silent('TXT _dmarc.b.example.com'),
    };
    expect(await tried('D3', zone, { from: 'a.b.example.com' })).toBe(
      'unknown p=reject at _dmarc.example.com, but could not ask for _dmarc.b.example.com (ECONNREFUSED)',
    );
  });

  it('is no reason to say that a logo has none', async () => {
    const logo = {
      'TXT default._bimi.example.com': ['v=BIMI1; l=https://example.com/l.svg; a=https://example.com/v.pem'],
    };
    expect(await tried('D9', { ...logo, ...silent('TXT _dmarc.example.com') })).toMatch(
      /^unknown could not ask for the DMARC policy/,
    );
  });
});
