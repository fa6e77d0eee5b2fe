import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readConfig } from '../../../../config/env.js';
import { DkimKeys } from '../../../../src/delivery/signing/dkim-keys.service.js';
import { DkimService } from '../../../../src/delivery/signing/dkim.service.js';
import { SignedDomains } from '../../../../src/delivery/signing/signed-domains.service.js';
import { AlertsService } from '../../../../src/infra/alerts/alerts.service.js';
import { openPostOffice, SECRET, type PostOffice } from '../post-office.js';

const HEADERS = 'From: Ada <ada@example.com>\r\nTo: grace@example.org\r\nSubject: Hello\r\n';
const BODY = Buffer.from('Hello\r\n');

/** A worker beside ours on the same database, with a data folder of its own. */
interface Worker {
  keys: DkimKeys;
  signed: SignedDomains;
  dkim: DkimService;
}

describe('a domain whose mail is signed', () => {
  let t: PostOffice;
  let dataDir: string;
  let alerts: AlertsService;
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'ws-signed-'));
    t = await openPostOffice();
    alerts = t.app.get(AlertsService, { strict: false });
  });
  afterEach(async () => {
    await t.close();
    await rm(dataDir, { recursive: true });
  });

  async function worker(): Promise<Worker> {
    const config = { ...readConfig({ DATA_DIR: dataDir }), databaseUrl: '', secretKey: SECRET, smtpUrl: '' };
    const keys = new DkimKeys(config, t.clock);
    await keys.onModuleInit();
    const signed = new SignedDomains(t.db, keys, alerts, t.clock);
    await signed.onModuleInit();
    return { keys, signed, dkim: new DkimService(keys, signed, alerts, config, t.clock) };
  }
  /** Ours has no keys: its folder is another. */
  const ours = (): SignedDomains => t.app.get(SignedDomains, { strict: false });
  const openAlerts = async (): Promise<string[]> => (await alerts.open()).map(({ key }) => key);

  it('is sent by no worker without a key: the mail waits, loses no attempt, and the owner is told', async () => {
    await (await worker()).keys.create('example.com');
    const other = await worker();
    expect(await other.dkim.sign('example.com', HEADERS, BODY)).toContain('d=example.com');

    const id = await t.plan('grace@example.org');
    expect(await t.sendDue()).toBe(0);
    expect(t.sink.mails).toEqual([]);
    expect(await t.state(id)).toMatchObject({
      state: 'ready',
      attempt: 0,
      dueAt: new Date(t.clock.now().getTime() + 5 * 60_000),
    });
    const attempts: unknown[] = await t.db.query('select stage from message_attempt where message_id = $1', [
      id,
    ]);
    expect(attempts).toEqual([{ stage: 'signing' }]);
    expect(await openAlerts()).toEqual(['dkim:example.com']);
    const stored: unknown[] = await t.db.query('select * from signed_domain');
    expect(JSON.stringify(stored)).not.toContain('PRIVATE KEY');

    expect(await ours().forget('example.com')).toBe(true);
    expect(await openAlerts()).toEqual([]);
    t.clock.advance(6 * 60_000);
    expect(await t.sendDue()).toBe(1);
    expect(t.sink.mails).toHaveLength(1);
  });

  it('covers the domains below it, and no other', async () => {
    await ours().noteSigned(['example.com']);
    expect(await ours().signedAbove('news.example.com')).toBe('example.com');
    expect(await ours().signedAbove('example.net')).toBeNull();
  });

  it('is known from the start of the worker that has its key, before the first mail', async () => {
    await (await worker()).keys.create('example.com');
    await (await worker()).signed.noteKeys();
    expect(await ours().signedAbove('example.com')).toBe('example.com');
  });

  it('a key that was only just made stops no worker that runs, but every one that starts without it', async () => {
    await ours().announce('Example.com');
    const running = t.app.get(DkimService, { strict: false });
    expect(await running.sign('example.com', HEADERS, BODY)).toBeNull();
    await expect((await worker()).dkim.sign('example.com', HEADERS, BODY)).rejects.toMatchObject({
      name: 'SigningRefused',
    });
  });

  it('is not forgotten while its key is here, and the doctor names what is missing', async () => {
    const { path } = await (await worker()).keys.create('example.com');
    const { signed } = await worker();
    await signed.noteKeys();
    await expect(signed.forget('example.com')).rejects.toMatchObject({ code: 'DKIM_KEY_EXISTS' });
    expect(await (await worker()).dkim.checkKeys()).toBe('example.com');
    await expect(ours().checkKeys()).rejects.toThrow(
      'mail of example.com is signed, and its key is not here',
    );
    await rm(path);
    const bare = await worker();
    expect(await bare.signed.forget('example.com')).toBe(true);
    expect(await bare.signed.forget('example.com')).toBe(false);
  });

  it('a bad key that was moved away and forgotten leaves no alert behind, though a worker met it until its next start', async () => {
    const { path } = await (await worker()).keys.create('example.com');
    await writeFile(path, 'broken');
    const running = await worker();
    await running.dkim.proveKeys();
    await rm(path);
    expect(await (await worker()).signed.forget('example.com')).toBe(true);
    expect(await openAlerts()).toEqual([]);
    await expect(running.dkim.sign('example.com', HEADERS, BODY)).rejects.toMatchObject({
      name: 'SigningRefused',
    });
    expect(await openAlerts()).toEqual(['dkim:example.com']);
    await (await worker()).dkim.proveKeys();
    expect(await openAlerts()).toEqual([]);
  });

  it('keeps its alert while its mail waits for a key, whichever worker starts', async () => {
    await ours().noteSigned(['example.com']);
    await ours().reportMissingKey('example.com');
    await (await worker()).dkim.proveKeys();
    expect(await openAlerts()).toEqual(['dkim:example.com']);
  });

  it('a key that other accounts may read is reported until its mode is put right', async () => {
    const { path } = await (await worker()).keys.create('example.com');
    await (await worker()).signed.noteKeys();
    expect(await openAlerts()).toEqual([]);
    await chmod(path, 0o644);
    const loose = await worker();
    await loose.signed.noteKeys();
    expect(await openAlerts()).toEqual(['dkim-exposed']);
    await expect(loose.signed.checkKeys()).rejects.toThrow(`chmod 600 ${path}`);
    await chmod(path, 0o600);
    await (await worker()).signed.noteKeys();
    expect(await openAlerts()).toEqual([]);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it('a folder of keys that cannot be read stops all mail rather than the signatures', async () => {
    await writeFile(join(dataDir, 'dkim'), 'not a folder');
    const { dkim } = await worker();
    await expect(dkim.sign('example.com', HEADERS, BODY)).rejects.toMatchObject({ name: 'SigningRefused' });
    await expect(dkim.checkKeys()).rejects.toThrow('cannot be read');
  });
});
