import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readConfig } from '../../../config/env.js';
import { HitSpool } from '../../../src/tracking/hit-spool.service.js';

describe('a folder of hits in which a process died', () => {
  let dataDir: string;
  let folder: string;
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'ws-spool-'));
    folder = join(dataDir, 'spool');
    await mkdir(folder);
  });
  afterEach(async () => rm(dataDir, { recursive: true }));

  async function looked(): Promise<HitSpool> {
    const config = {
      ...readConfig({ DATA_DIR: dataDir }),
      databaseUrl: '',
      secretKey: Buffer.alloc(32),
      smtpUrl: '',
    };
    const spool = new HitSpool(config);
    await spool.look();
    return spool;
  }
  async function left(text: string, { old }: { old: boolean }): Promise<string> {
    const name = `hits-000000000001000-000000-${randomUUID()}.json.new`;
    await writeFile(join(folder, name), text);
    if (old) await utimes(join(folder, name), new Date(0), new Date(0));
    return name;
  }
  const batch = (): string => {
    const hits = [{ source: 0, messageId: '1', linkId: null, atMs: 1_000 }];
    const source = {
      ...{ kind: 'open', method: 'GET', userAgent: null, purpose: null, hasAcceptLanguage: false },
      ...{ fetchDest: null, network: null, local: false, ipHash: '' },
    };
    return JSON.stringify({ id: randomUUID(), sources: [source], hits });
  };

  it('takes up what was written in full, and removes what was not', async () => {
    const whole = await left(batch(), { old: true });
    await left(batch().slice(0, 40), { old: true });
    const spool = await looked();
    expect(await readdir(folder)).toEqual([whole.replace('.new', '')]);
    expect(await spool.oldest()).toMatchObject({ hits: [{ messageId: '1', atMs: 1_000 }] });
  });

  it('leaves alone what another process may be writing at this moment', async () => {
    const name = await left('{"id":', { old: false });
    await looked();
    expect(await readdir(folder)).toEqual([name]);
  });
});
