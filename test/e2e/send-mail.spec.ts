import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommand } from '../../src/commands/wellspring.command.js';
import { ROOT } from '../support/build.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const MAIL = ['send-mail', 'emails/shipped', '--to', 'anybody@example.com'];
const DATA = '{"order":"A-1","carrier":"Mill Lane Parcels","url":"https://shop.example.com/A-1"}';

describe('one mail that a program asks for, by the command', () => {
  let database: TestDatabase;
  let folder: string;
  beforeAll(async () => {
    database = await createTestDatabase();
    folder = await mkdtemp(join(tmpdir(), 'wellspring-send-mail-'));
    await cp(join(ROOT, 'config/funnels'), folder, { recursive: true });
  });
  afterAll(async () => {
    await database.drop();
    await rm(folder, { recursive: true, force: true });
  });

  async function wellspring(...args: string[]): Promise<{ code: number; out: string; error: string }> {
    const said = { out: '', error: '' };
    const { BASE_URL: _, ...inherited } = process.env;
    const code = await runCommand(args, {
      env: { ...inherited, DATABASE_URL: database.url, DATA_DIR: join(folder, 'data') },
      out: (text) => (said.out += text),
      error: (text) => (said.error += text),
    });
    return { code, ...said };
  }

  it('is shown, sent once under a name, and refused where it would come out empty', async () => {
    expect(await wellspring(...MAIL, '--data', DATA)).toMatchObject({
      code: 1,
      error: expect.stringContaining('nobody to write as'),
    });
    await wellspring('apply', join(folder, 'niche-ebook.yaml'));
    expect(await wellspring(...MAIL, '--data', DATA, '--preview')).toMatchObject({
      code: 0,
      out: expect.stringContaining('Subject: Your order A-1 is on its way'),
    });
    const sent = await wellspring(...MAIL, '--data', DATA, '--once', 'A-1');
    expect(sent).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^It goes to anybody@example\.com: mail \d+\.\n$/),
    });
    expect((await wellspring(...MAIL, '--data', DATA, '--once', 'A-1')).out).toBe(sent.out);
    expect(await wellspring(...MAIL)).toMatchObject({
      code: 1,
      error: expect.stringContaining('data.carrier'),
    });
    expect(await wellspring(...MAIL, '--data', '{')).toMatchObject({
      code: 2,
      error: expect.stringMatching(/^data: .*JSON/),
    });
    expect(await wellspring(...MAIL, '--data', DATA, '--reply-to', 'nobody')).toMatchObject({
      code: 2,
      error: expect.stringMatching(/^replyTo: /),
    });
  });
});
