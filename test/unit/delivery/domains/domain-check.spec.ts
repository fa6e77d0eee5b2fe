import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { dkimRecord, type DkimKey } from '../../../../src/delivery/signing/dkim.js';
import { checkDomain } from '../../../../src/delivery/domains/domain.probe.js';
import { endedBy, unlessBlind } from '../../../../src/delivery/domains/dns.probe.js';
import { dnsOf, SILENT_DNS, type Zone } from '../../../support/zone.js';

const rsa = (modulusLength: number): DkimKey => ({
  domain: 'example.com',
  selector: 's1',
  privateKey: generateKeyPairSync('rsa', { modulusLength }).privateKey,
});
const KEY = rsa(2048);
const SHORT = rsa(1024);
const recordOf = ({ privateKey }: DkimKey): string => dkimRecord(createPublicKey(privateKey));

const GOOD: Zone = {
  'TXT example.com': ['v=spf1 include:spf.relay.test mx -all', 'google-site-verification=abc'],
  'TXT spf.relay.test': ['v=spf1 ip4:192.0.2.0/24 ~all'],
  'MX example.com': ['10 mx.example.com'],
  'A mx.example.com': ['192.0.2.25'],
  'TXT s1._domainkey.example.com': [recordOf(KEY)],
  'TXT _dmarc.example.com': ['v=DMARC1; p=quarantine; rua=mailto:dmarc@example.com'],
};

/** The DNS alone. */
const QUICK = { remote: null, now: new Date('2026-03-02T09:00:00Z') };

interface Tried {
  zone?: Zone;
  from?: string;
  returnPath?: string;
  keys?: DkimKey[];
  ips?: string[];
}

/** `<level> <detail>` of one finding about example.com, with some records changed. */
async function tried(
  id: string,
  { zone = {}, from = 'example.com', returnPath = from, keys = [KEY], ips = [] }: Tried = {},
) {
  const findings = await checkDomain(dnsOf({ ...GOOD, ...zone }), { from, returnPath, keys, ips }, QUICK);
  const found = findings.find((one) => one.id === id);
  return `${found?.level} ${found?.detail}`;
}

it('a domain set up as it should be is good in every point', async () => {
  const findings = await checkDomain(
    dnsOf(GOOD),
    {
      from: 'example.com',
      returnPath: 'example.com',
      keys: [KEY],
    },
    QUICK,
  );
  expect(findings.map(({ id, level }) => `${id} ${level}`)).toEqual(
    ['D1', 'D2', 'D3', 'D4', 'D5', 'D8', 'D9'].map((id) => `${id} ok`),
  );
});

const includes = (count: number): Zone =>
  Object.fromEntries(
    Array.from({ length: count }, (_, i) => [`TXT i${i}.test`, [`v=spf1 ip4:192.0.2.${i} ~all`]]),
  );
const including = (count: number): string =>
  `v=spf1 ${Array.from({ length: count }, (_, i) => `include:i${i}.test`).join(' ')} -all`;

describe('D1 SPF', () => {
  it.each<[string, Zone, RegExp]>([
    ['is missing', { 'TXT example.com': ['something else'] }, /^fail example\.com has no SPF record/],
    ['is there twice', { 'TXT example.com': ['v=spf1 -all', 'v=spf1 ~all'] }, /^fail .* 2 SPF records/],
    [
      'takes ten lookups',
      { ...includes(10), 'TXT example.com': [including(10)] },
      /^ok one record, 10 of 10/,
    ],
    [
      'takes eleven',
      { ...includes(11), 'TXT example.com': [including(11)] },
      /^fail it takes 11 DNS lookups/,
    ],
    [
      'goes round in a circle',
      { 'TXT example.com': ['v=spf1 include:example.com -all'] },
      /^fail it takes more than 20/,
    ],
    [
      'redirects by a macro, which was called broken',
      { 'TXT example.com': ['v=spf1 redirect=%{i}._spf.relay.test'] },
      /^ok one record, 1 of 10/,
    ],
    [
      'redirects to a name of its own domain',
      {
        'TXT example.com': ['v=spf1 redirect=%{d}.relay.test'],
        'TXT example.com.relay.test': ['v=spf1 +all'],
      },
      /^fail \+all lets anybody send/,
    ],
    ['redirects', { 'TXT example.com': ['v=spf1 redirect=spf.relay.test'] }, /^ok one record, 1 of 10/],
    [
      'names three hosts that do not exist',
      { 'TXT example.com': ['v=spf1 a:x.test a:y.test mx:z.test -all'] },
      /^fail 3 of its names do not exist/,
    ],
    ['names two of them', { 'TXT example.com': ['v=spf1 a:x.test a:y.test -all'] }, /^ok /],
    [
      'includes a domain without SPF',
      { 'TXT example.com': ['v=spf1 include:nowhere.test -all'] },
      /^fail include:nowhere\.test has 0 SPF records/,
    ],
    ['lets anybody send', { 'TXT example.com': ['v=spf1 +all'] }, /^fail \+all/],
    ['lets anybody send by a bare all', { 'TXT example.com': ['v=spf1 all'] }, /^fail \+all/],
    ['forbids nobody', { 'TXT example.com': ['v=spf1 ip4:192.0.2.1'] }, /^warn the record does not end/],
    ['has a term nobody knows', { 'TXT example.com': ['v=spf1 ipv4:192.0.2.1 -all'] }, /^fail "ipv4:/],
    ['uses ptr', { 'TXT example.com': ['v=spf1 ptr -all'] }, /^warn ptr/],
    ['has a macro', { 'TXT example.com': ['v=spf1 exists:%{i}.x.test -all'] }, /^ok .*1 of 10/],
    ['cannot be asked', { 'TXT example.com': ['FAIL'] }, /^unknown could not ask the DNS \(ECONNREFUSED\)/],
    [
      'cannot be asked for an include',
      { 'TXT spf.relay.test': ['FAIL'] },
      /^unknown could not ask for spf\.relay/,
    ],
  ])('that %s', async (_, zone, expected) => expect(await tried('D1', { zone })).toMatch(expected));

  it.each<[string, string, RegExp]>([
    ['192.0.2.9', 'v=spf1 include:spf.relay.test -all', /^ok one record, 1 of 10/],
    [
      '198.51.100.9',
      'v=spf1 include:spf.relay.test -all',
      /^fail it does not allow 198\.51\.100\.9, .*\(fail\)/,
    ],
    ['198.51.100.9', 'v=spf1 include:spf.relay.test ~all', /^fail it does not allow .*\(softfail\)/],
    ['192.0.2.25', 'v=spf1 mx -all', /^ok /],
    ['192.0.2.9', 'v=spf1 redirect=%{d}.relay.test', /^ok /],
    ['198.51.100.9', 'v=spf1 redirect=%{d}.relay.test', /^fail it does not allow 198\.51\.100\.9/],
    ['192.0.2.9', 'v=spf1 redirect=%{o}.relay.test', /^ok /],
    ['198.51.100.9', 'v=spf1 redirect=%{o}.relay.test', /^fail it does not allow 198\.51\.100\.9/],
    ['2001:db8::25', 'v=spf1 a:six.test -all', /^ok /],
    ['192.0.2.25', 'v=spf1 +all', /^fail \+all lets anybody send; use ~all or -all$/],
  ])('mail that leaves from %s is judged by %s as a receiver would', async (ip, record, expected) => {
    const zone = {
      'TXT example.com': [record],
      'AAAA six.test': ['2001:db8::25'],
      'TXT example.com.relay.test': ['v=spf1 ip4:192.0.2.0/24 -all'],
    };
    expect(await tried('D1', { zone, ips: [ip] })).toMatch(expected);
  });

  it('is that of the return path', async () => {
    const zone = { 'TXT b.example.com': ['v=spf1 -all'] };
    expect(await tried('D1', { zone, returnPath: 'b.example.com' })).toBe(
      'ok at the return path b.example.com: one record, 0 of 10 lookups',
    );
  });
});

describe('D2 DKIM', () => {
  const at = 'TXT s1._domainkey.example.com';
  const record = recordOf(KEY);
  it.each<[string, Tried, RegExp]>([
    ['no key', { keys: [] }, /^warn mail leaves without a signature/],
    ['no record', { zone: { [at]: [] } }, /^fail .* does not exist; publish "v=DKIM1; k=rsa; p=/],
    ['another key', { zone: { [at]: [recordOf(SHORT)] } }, /^fail .* holds another key/],
    ['a key in pieces', { zone: { [at]: [record.replace('p=MII', 'p=M I I ')] } }, /^ok /],
    ['a revoked key', { zone: { [at]: ['v=DKIM1; p='] } }, /^fail .* revoked/],
    ['another version', { zone: { [at]: [record.replace('DKIM1', 'DKIM2')] } }, /^fail .* another version/],
    ['two records', { zone: { [at]: [record, record] } }, /^fail .* has 2 records/],
    ['a record that is none', { zone: { [at]: ['v=DKIM1; v=DKIM1; p=x'] } }, /^fail .* not readable/],
    ['test mode', { zone: { [at]: [`${record}; t=y:s`] } }, /^warn .* only tested/],
    ['sha1 only', { zone: { [at]: [`${record}; h=sha1`] } }, /^fail .* no sha256/],
    ['another service', { zone: { [at]: [`${record}; s=tls`] } }, /^fail .* not for email/],
    ['1024 bits', { keys: [SHORT], zone: { [at]: [recordOf(SHORT)] } }, /^warn .* 1024 bits/],
    ['no answer', { zone: { [at]: ['FAIL'] } }, /^unknown /],
  ])('with %s', async (_, change, expected) => expect(await tried('D2', change)).toMatch(expected));

  it('checks the second key as well, and one that is not published yet stops nothing beside a good RSA record', async () => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const second = { domain: 'example.com', selector: 'e1', privateKey };
    expect(await tried('D2', { keys: [KEY, second] })).toMatch(
      /^warn e1\._domainkey\.example\.com does not exist/,
    );
    const neither = { zone: { [at]: [] }, keys: [KEY, second] };
    expect(await tried('D2', neither)).toMatch(/^fail s1.*; e1\._domainkey\.example\.com does not exist/);
    const zone = { 'TXT e1._domainkey.example.com': [recordOf(second)] };
    expect(await tried('D2', { keys: [KEY, second], zone })).toMatch(/^ok /);
  });
});

describe('D3 DMARC (RFC 9989)', () => {
  const record = (text: string): Zone => ({ 'TXT _dmarc.example.com': [text] });
  const rua = 'rua=mailto:dmarc@example.com';
  it.each<[string, Tried, RegExp]>([
    ['no record', { zone: { 'TXT _dmarc.example.com': [] } }, /^fail there is no valid record; publish/],
    ['another text', { zone: record('dmarc1; p=none') }, /^fail there is no valid record/],
    [
      'two records',
      { zone: { 'TXT _dmarc.example.com': [`v=DMARC1; p=none; ${rua}`, `v=DMARC1; p=reject; ${rua}`] } },
      /^fail _dmarc\.example\.com has more than one record/,
    ],
    ['p=none', { zone: record(`v=DMARC1; p=none; ${rua}`) }, /^ok p=none/],
    ['pct, which is gone', { zone: record(`v=DMARC1; p=none; pct=50; ${rua}`) }, /^warn pct= is ignored/],
    ['rf and ri', { zone: record(`v=DMARC1; p=none; rf=afrf; ri=3600; ${rua}`) }, /^warn rf= .*; ri= /],
    ['test mode', { zone: record(`v=DMARC1; p=reject; t=y; ${rua}`) }, /^warn t=y .* p=reject/],
    ['no rua', { zone: record('v=DMARC1; p=none') }, /^warn rua= is missing/],
    ['a bad rua', { zone: record('v=DMARC1; p=none; rua=https://x.test') }, /^warn rua= holds something/],
    ['a bad policy', { zone: record(`v=DMARC1; p=rejct; ${rua}`) }, /^warn p= is none of/],
    ['neither policy nor reports', { zone: record('v=DMARC1; p=rejct') }, /^fail there is no valid record/],
    [
      'reports that go elsewhere',
      { zone: record('v=DMARC1; p=none; rua=mailto:x@r.test') },
      /^warn r\.test has not/,
    ],
    [
      'reports that elsewhere wants',
      {
        zone: {
          ...record('v=DMARC1; p=none; rua=mailto:x@r.test!10m'),
          'TXT example.com._report._dmarc.r.test': ['v=DMARC1'],
        },
      },
      /^ok /,
    ],
    [
      'the record of the domain above',
      { from: 'a.b.example.com' },
      /^ok p=quarantine at _dmarc\.example\.com/,
    ],
    [
      'the policy for what is below',
      { from: 'news.example.com', zone: record(`v=DMARC1; p=none; sp=reject; ${rua}`) },
      /^ok p=reject/,
    ],
    ['no answer', { zone: { 'TXT _dmarc.example.com': ['FAIL'] } }, /^unknown /],
  ])('with %s', async (_, change, expected) => expect(await tried('D3', change)).toMatch(expected));

  it('asks eight names at most, however long the domain', async () => {
    const dns = dnsOf({});
    await checkDomain(
      dns,
      { from: `${'x.'.repeat(20)}example.com`, returnPath: 'example.com', keys: [] },
      QUICK,
    );
    const walk = dns.questions.filter((question) => question.startsWith('TXT _dmarc.x.x'));
    expect(walk.length).toBeLessThanOrEqual(8);
    expect(dns.questions).toContain('TXT _dmarc.example.com');
  });
});

describe('D4 alignment', () => {
  const strict = (tag: string): Zone => ({
    'TXT _dmarc.example.com': [`v=DMARC1; p=none; ${tag}=s; rua=mailto:d@example.com`],
  });
  it.each<[string, Tried, RegExp]>([
    ['a return path below the domain', { returnPath: 'b.example.com' }, /^ok return path and signature/],
    ['mail from below the key', { from: 'news.example.com' }, /^ok /],
    [
      'a foreign return path, signed',
      { returnPath: 'b.example.net' },
      /^warn the return path b\.example\.net/,
    ],
    ['a foreign return path, unsigned', { returnPath: 'b.example.net', keys: [] }, /^fail /],
    ['aspf=s', { returnPath: 'b.example.com', zone: strict('aspf') }, /^warn the return path/],
    ['adkim=s', { from: 'news.example.com', zone: strict('adkim') }, /^warn the signature's domain/],
    [
      'a domain that says it stands alone',
      {
        from: 'news.example.com',
        zone: { 'TXT _dmarc.news.example.com': ['v=DMARC1; p=none; psd=n; rua=mailto:d@example.com'] },
      },
      /^warn the signature's domain/,
    ],
  ])('of %s', async (_, change, expected) => expect(await tried('D4', change)).toMatch(expected));
});

describe('D5 MX', () => {
  it.each<[string, Tried, RegExp]>([
    ['null MX', { zone: { 'MX example.com': ['0 .'] } }, /^fail .*null MX/],
    ['null MX as node:dns writes it', { zone: { 'MX example.com': ['0 '] } }, /^fail .*null MX/],
    ['an address only', { zone: { 'MX example.com': [], 'A example.com': ['192.0.2.1'] } }, /^warn .* no MX/],
    ['nothing', { zone: { 'MX example.com': [] } }, /^fail .* no MX and no address/],
    [
      'a bounce domain that takes nothing',
      { returnPath: 'b.example.com' },
      /^fail b\.example\.com .*so bounces are/,
    ],
    ['no answer', { zone: { 'MX example.com': ['FAIL'] } }, /^unknown /],
    [
      'a server that does not exist',
      { zone: { 'MX example.com': ['10 gone.example.com'] } },
      /^fail gone\.example\.com, which example\.com names as mail server, has no address, so replies and bounces are lost/,
    ],
    [
      'a number where a name must stand',
      { zone: { 'MX example.com': ['10 192.0.2.25'] } },
      /^fail 192\.0\.2\.25, which/,
    ],
    [
      'a second server that does not exist',
      { zone: { 'MX example.com': ['10 mx.example.com', '20 gone.example.com'] } },
      /^warn gone\.example\.com, which .* has no address$/,
    ],
    [
      'a server of IPv6 alone',
      { zone: { 'A mx.example.com': [], 'AAAA mx.example.com': ['2001:db8::25'] } },
      /^ok /,
    ],
    [
      'a server that cannot be looked up',
      { zone: { 'A mx.example.com': ['FAIL'] } },
      /^unknown could not ask/,
    ],
  ])('with %s', async (_, change, expected) => expect(await tried('D5', change)).toMatch(expected));
});

describe('D8 own domain', () => {
  it.each([
    ['gmail.com', /^fail gmail\.com belongs/],
    ['yahoo.co.uk', /^fail /],
    ['hotmail.fr', /^fail /],
    ['example.com', /^ok /],
    ['mail.example.com', /^ok /],
  ])('%s', async (from, expected) => expect(await tried('D8', { from })).toMatch(expected));
});

describe('D9 BIMI', () => {
  const bimi = (text: string, dmarc = 'p=reject'): Zone => ({
    'TXT default._bimi.example.com': [text],
    'TXT _dmarc.example.com': [`v=DMARC1; ${dmarc}; rua=mailto:d@example.com`],
  });
  const good = 'v=BIMI1; l=https://example.com/logo.svg; a=https://example.com/vmc.pem';
  it.each<[string, Zone, RegExp]>([
    ['nothing', {}, /^ok no logo/],
    ['all of it', bimi(good), /^ok logo and certificate/],
    ['no certificate', bimi('v=BIMI1; l=https://example.com/logo.svg'), /^warn a= has no certificate/],
    ['a picture of another kind', bimi(good.replace('.svg', '.png')), /^warn l= must be/],
    ['a policy that is too weak', bimi(good, 'p=none'), /^warn a logo is shown only/],
    ['a policy that is only tested', bimi(good, 'p=reject; t=y'), /^warn a logo is shown only/],
    ['a policy for a part', bimi(good, 'p=quarantine; pct=50'), /^warn no logo is shown with pct=50/],
    ['a refusal of all logos', bimi('v=BIMI1; l=; a='), /^ok the record says that no logo/],
    ['no answer', bimi('FAIL'), /^unknown /],
  ])('with %s', async (_, zone, expected) => expect(await tried('D9', { zone })).toMatch(expected));

  it('is that of the organisation where the domain itself has none', async () => {
    const below = { from: 'news.example.com', zone: bimi(good.replace('.svg', '.png')) };
    expect(await tried('D9', below)).toMatch(/^warn l= must be/);
  });
});

it('without a network every answer is "could not ask", at once when the time is up', async () => {
  const end = new AbortController();
  const checks = checkDomain(
    endedBy(SILENT_DNS, end.signal),
    {
      from: 'example.com',
      returnPath: 'example.com',
      keys: [KEY],
    },
    QUICK,
  );
  end.abort();
  const findings = await checks;
  const levels = Object.fromEntries(findings.map(({ id, level }) => [id, level]));
  expect(levels).toMatchObject({ D1: 'unknown', D2: 'unknown', D3: 'unknown', D5: 'unknown', D9: 'unknown' });
  expect(findings.find(({ id }) => id === 'D1')?.detail).toContain('could not ask');
});

it('a resolver that says "no such name" to everything is taken for no network; one that sees is used as it is', async () => {
  const domain = { from: 'example.com', returnPath: 'example.com', keys: [KEY] };
  const blind = await checkDomain(await unlessBlind(dnsOf({})), domain, QUICK);
  expect(blind.map(({ id, level }) => `${id} ${level}`)).toEqual(
    expect.arrayContaining(['D1 unknown', 'D2 unknown', 'D3 unknown', 'D5 unknown']),
  );
  const seeing = dnsOf({ ...GOOD, 'A a.root-servers.net': ['198.41.0.4'] });
  const findings = await checkDomain(await unlessBlind(seeing), domain, QUICK);
  expect(findings.every(({ level }) => level === 'ok')).toBe(true);
});
