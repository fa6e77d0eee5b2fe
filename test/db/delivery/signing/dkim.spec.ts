import { generateKeyPairSync } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from '../../../../config/env.js';
import { DkimKeys } from '../../../../src/delivery/signing/dkim-keys.service.js';
import { DkimService } from '../../../../src/delivery/signing/dkim.service.js';
import { AlertsService } from '../../../../src/infra/alerts/alerts.service.js';
import { FixedClock } from '../../../support/clock.js';
import { openPostOffice, SECRET, type PostOffice } from '../post-office.js';

const HEADERS = 'From: Ada <ada@example.com>\r\nTo: grace@example.org\r\nSubject: Hello\r\n';
const BODY = Buffer.from('Hello\r\n');
const clock = new FixedClock();

const folders: string[] = [];
async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'ws-dkim-'));
  folders.push(path);
  return path;
}
const keysIn = (dataDir: string): DkimKeys =>
  new DkimKeys(
    { ...readConfig({ DATA_DIR: dataDir }), databaseUrl: '', secretKey: SECRET, smtpUrl: '' },
    clock,
  );
async function put(dataDir: string, domain: string, selector: string, pem: string): Promise<void> {
  await mkdir(join(dataDir, 'dkim', domain), { recursive: true });
  await writeFile(join(dataDir, 'dkim', domain, `${selector}.pem`), pem);
}
const rsaPem = (modulusLength = 2048): string =>
  generateKeyPairSync('rsa', { modulusLength })
    .privateKey.export({ type: 'pkcs8', format: 'pem' })
    .toString();
afterAll(async () => {
  for (const path of folders) await rm(path, { recursive: true });
});

describe('DKIM keys in the data folder', () => {
  it('are made once, for the owner of the folder alone, with the record to publish', async () => {
    const dataDir = await folder();
    const record = await keysIn(dataDir).create('Bücher.example');
    expect(record).toMatchObject({ name: 'ws202603._domainkey.xn--bcher-kva.example', type: 'TXT' });
    expect(record.value).toMatch(/^v=DKIM1; k=rsa; p=MII[\w+/]{380,}=*$/);
    expect((await stat(record.path)).mode & 0o777).toBe(0o600);
    expect(await readFile(record.path, 'utf8')).toContain('BEGIN PRIVATE KEY');
    await expect(keysIn(dataDir).create('bücher.example')).rejects.toMatchObject({ code: 'DKIM_KEY_EXISTS' });
    await keysIn(dataDir).create('bücher.example', { selector: 'other' });
  });

  it('sign with the newest selector, and for the domains below theirs', async () => {
    const dataDir = await folder();
    await put(dataDir, 'example.com', 'ws202601', rsaPem());
    await put(dataDir, 'example.com', 'ws202602', rsaPem());
    await put(dataDir, 'own.example.com', 'x', rsaPem());
    const keys = keysIn(dataDir);
    await keys.onModuleInit();
    const names = (domain: string): string[] =>
      keys.signing(domain).map(({ domain, selector }) => `${selector} ${domain}`);
    expect(names('example.com')).toEqual(['ws202602 example.com']);
    expect(names('news.mail.example.com')).toEqual(['ws202602 example.com']);
    expect(names('a.own.example.com')).toEqual(['x own.example.com']);
    expect(names('example.net')).toEqual([]);
    expect(names('com')).toEqual([]);
  });

  it.each([
    ['no key', 'nonsense', 'no private key in PEM'],
    [
      'a key of another kind',
      generateKeyPairSync('ec', { namedCurve: 'P-256' })
        .privateKey.export({ type: 'pkcs8', format: 'pem' })
        .toString(),
      'rsa or ed25519, not ec',
    ],
    ['a short key', rsaPem(768), '768 bits'],
    [
      'Ed25519 alone',
      generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      'only beside an RSA key',
    ],
  ])('are a fault of the domain and those below it when there is %s', async (_, pem, reason) => {
    const dataDir = await folder();
    await put(dataDir, 'example.com', 's1', pem);
    const keys = keysIn(dataDir);
    await keys.onModuleInit();
    for (const domain of ['example.com', 'news.example.com'])
      expect(keys.fault(domain)).toEqual({
        domain: 'example.com',
        reason: expect.stringContaining(reason),
      });
    expect(keys.fault('example.net')).toBeNull();
  });

  it('do not wait for a bad one of a domain above, where they are good', async () => {
    const dataDir = await folder();
    await put(dataDir, 'example.com', 's1', 'nonsense');
    await put(dataDir, 'news.example.com', 's1', rsaPem());
    const keys = keysIn(dataDir);
    await keys.onModuleInit();
    expect(keys.fault('news.example.com')).toBeNull();
    expect(keys.fault('a.news.example.com')).toBeNull();
    expect(keys.fault('shop.example.com')?.domain).toBe('example.com');
  });

  it('are a fault of every domain when a folder does not say whose they are', async () => {
    const dataDir = await folder();
    await put(dataDir, 'not a domain', 's1', rsaPem());
    const keys = keysIn(dataDir);
    await keys.onModuleInit();
    expect(keys.fault('example.net')?.domain).toBe('every domain');
  });

  it.each(['', 'localhost', '../etc', 'a b.test', 'a..test', '-a.test'])(
    'are not made for "%s"',
    async (domain) => {
      await expect(keysIn(await folder()).create(domain)).rejects.toMatchObject({
        code: 'DKIM_DOMAIN_INVALID',
      });
    },
  );

  it('take no selector that is a path', async () => {
    await expect(keysIn(await folder()).create('example.com', { selector: '../x' })).rejects.toMatchObject({
      code: 'DKIM_SELECTOR_INVALID',
    });
  });
});

describe('signing what leaves', () => {
  let t: PostOffice;
  let dkim: DkimService;
  let records: Map<string, string>;
  beforeAll(async () => {
    const dataDir = await folder();
    const keys = keysIn(dataDir);
    const made = [await keys.create('example.com'), await keys.create('example.com', { kind: 'ed25519' })];
    records = new Map(made.map(({ name, value }) => [name, value]));
    t = await openPostOffice({ DATA_DIR: dataDir });
    dkim = t.app.get(DkimService, { strict: false });
  });
  afterAll(async () => t.close());
  const openAlerts = async (): Promise<string[]> =>
    (await t.app.get(AlertsService, { strict: false }).open()).map(
      ({ key, severity }) => `${severity} ${key}`,
    );

  it('refuses while a mail would leave with a broken signature, tells the owner, and goes on when one is good', async () => {
    // A bare LF is mended on the way by the SMTP stream, which breaks the signature.
    await expect(dkim.sign('example.com', HEADERS, Buffer.from('a\nb\r\n'))).rejects.toMatchObject({
      name: 'SigningRefused',
    });
    await expect(dkim.sign('example.com', 'To: x@example.org\r\n', BODY)).rejects.toThrow('without From');
    expect(await openAlerts()).toEqual(['critical dkim:example.com']);
    await dkim.sign('example.com', HEADERS, BODY);
    expect(await openAlerts()).toEqual([]);
  });

  it('is told to go on when no folder is left that does not say whose keys it holds', async () => {
    await t.app.get(AlertsService, { strict: false }).raise({
      ...{ key: 'dkim:every domain', severity: 'critical' },
      message: 'Mail from every domain waits: "not a domain" is no domain',
    });
    await dkim.proveKeys();
    expect(await openAlerts()).toEqual([]);
  });

  it('signs with both keys, as the published records verify', async () => {
    const signatures = await dkim.sign('news.example.com', HEADERS, BODY);
    const { results } = await dkimVerify(`${signatures}${HEADERS}\r\n${BODY.toString()}`, {
      resolver: async (name) => [[records.get(name) ?? '']],
    });
    expect(results.map(({ status }) => status.result)).toEqual(['pass', 'pass']);
  });

  it('covers headers in UTF-8, as SMTPUTF8 mail has them', async () => {
    const headers = HEADERS.replace('grace@', 'grâce@');
    const signatures = await dkim.sign('example.com', headers, BODY);
    const { results } = await dkimVerify(Buffer.from(`${signatures}${headers}\r\n${BODY.toString()}`), {
      resolver: async (name) => [[records.get(name) ?? '']],
    });
    expect(results.map(({ status }) => status.result)).toEqual(['pass', 'pass']);
  });

  it('leaves mail of a domain without a key as it is', async () => {
    expect(await dkim.sign('example.net', HEADERS, BODY)).toBeNull();
  });
});
