import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { secretKey } from '../../../src/infra/secret-key.js';

describe('the key behind every token', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'wellspring-key-'));
  });
  afterEach(async () => rm(folder, { recursive: true, force: true }));

  it('is made once, whole, for all that start at the same moment', async () => {
    const keys = await Promise.all(Array.from({ length: 20 }, async () => secretKey(null, folder)));
    expect(new Set(keys.map((key) => key.toString('hex'))).size).toBe(1);
    expect(await readdir(folder)).toEqual(['secret.key']);
    expect((await stat(join(folder, 'secret.key'))).mode & 0o777).toBe(0o600);
    expect(await secretKey(null, folder)).toEqual(keys[0]);
  });

  it('stays what a file of earlier versions says', async () => {
    const hex = '0123456789abcdef'.repeat(4);
    await writeFile(join(folder, 'secret.key'), `${hex}\n`);
    expect(await secretKey(null, folder)).toEqual(createHash('sha256').update(hex).digest());
  });

  it.each(['', '\n', 'abc123', '0'.repeat(31)])('is no text that anybody could guess: %j', async (text) => {
    await writeFile(join(folder, 'secret.key'), text);
    await expect(secretKey(null, folder)).rejects.toThrow(/secret\.key does not hold a key of at least 32/);
  });
});
