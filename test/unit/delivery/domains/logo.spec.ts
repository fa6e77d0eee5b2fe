import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkBimi } from '../../../../src/delivery/domains/bimi.probe.js';
import { findDmarc } from '../../../../src/delivery/domains/dmarc.probe.js';
import { certificateRemarks, logoRemarks } from '../../../../src/delivery/domains/logo.js';
import type { FileSeen } from '../../../../src/delivery/domains/remote-hosts.js';
import { dnsOf } from '../../../support/zone.js';

const fixture = (name: string): Buffer => readFileSync(new URL(`../../../fixtures/${name}`, import.meta.url));
const LOGO = fixture('mark-logo.svg');
/** Of `example.com`, with the logo above in it. */
const CERTIFICATE = fixture('mark-certificate.pem');
const trust = { rootStore: { rootCerts: [new X509Certificate(fixture('mark-authority.pem'))] } };
const NOW = new Date('2027-03-01T09:00:00Z');

describe('the picture of BIMI', () => {
  const judged = async (text: string, contentType = 'image/svg+xml'): Promise<string[]> =>
    (await logoRemarks({ bytes: Buffer.from(text), contentType })).map(
      ({ level, text: said }) => `${level} ${said}`,
    );
  const svg = LOGO.toString();

  it('is good as SVG Tiny PS', async () => {
    expect(await judged(svg)).toEqual([]);
    expect(await judged(svg, 'image/svg+xml; charset=utf-8')).toEqual([]);
  });

  it.each<[string, string, RegExp]>([
    ['is no SVG', 'GIF89a', /^warn the logo is no (?:SVG|XML)$/],
    ['is of another profile', svg.replace('tiny-ps', 'full'), /is no SVG Tiny PS/],
    ['has no version', svg.replace('version="1.2" ', ''), /lacks version="1\.2"/],
    ['has no title', svg.replace(/<title>.*<\/title>/, ''), /has no <title>/],
    ['has a place', svg.replace('viewBox', 'x="0" viewBox'), /has x= or y=/],
    ['holds a script', svg.replace('</svg>', '<script>1</script></svg>'), /script or an animation/],
    ['moves', svg.replace('</svg>', '<g><animate attributeName="x"/></g></svg>'), /script or an animation/],
    [
      'needs another file',
      svg.replace('</svg>', '<use xlink:href="https://example.net/x.svg"/></svg>'),
      /refers to another file/,
    ],
  ])('that %s is named', async (_, text, expected) =>
    expect(await judged(text)).toEqual([expect.stringMatching(expected)]),
  );

  it('must be served as what it is', async () => {
    expect(await judged(svg, 'text/plain')).toEqual([expect.stringContaining('served as text/plain')]);
  });
});

describe('the certificate of BIMI', () => {
  const judged = async (change: Partial<Parameters<typeof certificateRemarks>[0]>, by = trust) =>
    (
      await certificateRemarks(
        { certificate: CERTIFICATE, logo: LOGO, domain: 'example.com', now: NOW, ...change },
        by,
      )
    ).map(({ level, text }) => `${level} ${text}`);

  it('vouches for the logo of its domain, and of those below', async () => {
    expect(await judged({})).toEqual([]);
    expect(await judged({ domain: 'news.example.com' })).toEqual([]);
    expect(await judged({ logo: null })).toEqual([]);
  });

  it.each<[string, Parameters<typeof judged>[0], RegExp]>([
    ['is for another domain', { domain: 'example.net' }, /is for another domain/],
    [
      'holds another logo',
      { logo: Buffer.from(LOGO.toString().replace('#246', '#135')) },
      /another one than that/,
    ],
    ['has run out', { now: new Date('2126-12-01T00:00:00Z') }, /has run out/],
    ['ends soon', { now: new Date('2126-10-30T00:00:00Z') }, /ends in 4 days/],
    ['is none', { certificate: Buffer.from('hello') }, /holds no certificate in PEM/],
    [
      'is for something else',
      { certificate: fixture('mark-authority.pem') },
      /certificate for something else/,
    ],
  ])('that %s is named', async (_, change, expected) =>
    expect(await judged(change)).toEqual([expect.stringMatching(expected)]),
  );

  it('is worth nothing from somebody who may not vouch for logos', async () => {
    expect(await judged({}, { rootStore: { rootCerts: [] } })).toEqual([
      'warn the certificate of the logo is of nobody who may vouch for logos',
    ]);
  });
});

describe('D9, with the files behind the record', () => {
  const dns = dnsOf({
    'TXT default._bimi.example.com': [
      'v=BIMI1; l=https://example.com/logo.svg; a=https://example.com/vmc.pem',
    ],
    'TXT _dmarc.example.com': ['v=DMARC1; p=reject; rua=mailto:d@example.com'],
  });
  const judged = async (files: Record<string, FileSeen>): Promise<string> => {
    const remote = {
      file: async (url: string): Promise<FileSeen> =>
        files[new URL(url).pathname] ?? { kind: 'gone', reason: 'answers 404' },
    };
    const dmarc = await findDmarc(dns, 'example.com');
    const { level, detail } = await checkBimi(dns, { from: 'example.com', dmarc }, { remote, now: NOW });
    return `${level} ${detail}`;
  };
  const logo: FileSeen = { kind: 'read', bytes: LOGO, contentType: 'image/svg+xml' };

  it('says what is missing there, and what could not be looked at', async () => {
    expect(await judged({})).toBe(
      'warn https://example.com/logo.svg answers 404; https://example.com/vmc.pem answers 404',
    );
    expect(await judged({ '/logo.svg': logo, '/vmc.pem': { kind: 'unread', reason: 'ECONNREFUSED' } })).toBe(
      'unknown could not look at https://example.com/vmc.pem (ECONNREFUSED)',
    );
  });

  it('looks into both', async () => {
    const certificate: FileSeen = { kind: 'read', bytes: CERTIFICATE, contentType: 'application/x-pem-file' };
    expect(await judged({ '/logo.svg': logo, '/vmc.pem': certificate })).toMatch(
      /^warn the certificate of the logo is of nobody who may vouch/,
    );
    const other: FileSeen = { ...logo, bytes: Buffer.from('<svg/>') };
    expect(await judged({ '/logo.svg': other, '/vmc.pem': certificate })).toMatch(/^warn the logo is no SVG/);
  });
});
