import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommand } from '../../../src/commands/wellspring.command.js';
import { openDesk, type Desk } from './desk.js';

describe('the owner, at a terminal, with a broadcast', () => {
  let desk: Desk;
  let folder: string;
  let id: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'wellspring-broadcast-'));
    desk = await openDesk();
    await desk.people(3);
    id = await desk.started({ subject: 'Old' });
    await desk.planner.run({ deadline: Infinity, signal: new AbortController().signal });
  });
  afterAll(async () => {
    await desk.t.close();
    await rm(folder, { recursive: true, force: true });
  });

  const wellspring = async (...args: string[]): Promise<{ code: number; out: string; error: string }> => {
    const said = { out: '', error: '' };
    const { config } = desk.t;
    const env = {
      DATABASE_URL: config.databaseUrl ?? '',
      DATA_DIR: folder,
      SECRET_KEY: config.secretKey.toString('hex'),
    };
    const code = await runCommand(args, {
      env: { ...env, SMTP_URL: config.smtpUrl ?? '', LOG_LEVEL: 'silent' },
      out: (text) => (said.out += text),
      error: (text) => (said.error += text),
    });
    return { code, ...said };
  };

  it('could list mails by their state over the API alone', async () => {
    const all = await wellspring('mails', '--state', 'ready', '--broadcast', `broadcast:${id}`);
    expect(all).toMatchObject({ code: 0, error: '' });
    expect(all.out.trim().split('\n')).toHaveLength(3);
    expect(all.out).toMatch(new RegExp(`^\\d+ of broadcast:${id}, due 2026-03-02T09:00:00.000Z, ready\\n`));
    expect(all.out).not.toContain('@');
    const some = await wellspring('mails', '--limit', '2', '--json');
    const { data, nextCursor } = JSON.parse(some.out) as { data: { id: string }[]; nextCursor: string };
    expect(data).toHaveLength(2);
    const rest = await wellspring('mails', '--cursor', nextCursor);
    expect(rest.out.trim().split('\n')).toHaveLength(1);
    expect(await wellspring('mails', '--state', 'held')).toMatchObject({ code: 0, out: 'There are none.\n' });
    expect(await wellspring('mails', '--state', 'gone')).toMatchObject({ code: 2, out: '' });
    expect(await wellspring('mails', '--funnel', 'guide')).toMatchObject({ code: 2, out: '' });
  });

  it('gives what has not gone of it other words in a pause, and none while it runs', async () => {
    expect(await wellspring('broadcast', 'words', id, '--subject', 'New')).toMatchObject({
      code: 1,
      out: '',
    });
    await desk.broadcasts.pause(id);
    expect(await wellspring('broadcast', 'words', `broadcast:${id}`, '--subject', 'New')).toEqual({
      code: 0,
      out: `broadcast:${id} has these words now. 3 mails that wait get them.\n`,
      error: '',
    });
    expect(await wellspring('broadcast', 'words', id)).toMatchObject({ code: 2, out: '' });
    await desk.broadcasts.resume(id);
  });

  it('writes it once more for those who have not opened it, when its mails have gone', async () => {
    const args = ['broadcast', 'resend', `broadcast:${id}`, '--subject', 'Again'];
    const refused = await wellspring(...args);
    expect(refused).toMatchObject({
      code: 1,
      out: '',
      error: expect.stringContaining('3 of its mails still wait'),
    });
    await desk.settle(id);
    expect(new Set(desk.t.sink.mails.map(({ parsed }) => parsed.subject))).toEqual(new Set(['New']));
    const written = await wellspring(...args, '--unless', 'clicked', '--json');
    expect(JSON.parse(written.out)).toMatchObject({
      ...{ state: 'draft', resendOf: id, subject: 'Again' },
      audience: { resendOf: id, unless: 'clicked' },
    });
    expect(await wellspring(...args)).toMatchObject({
      code: 1,
      error: expect.stringContaining('once more already'),
    });
    expect(await wellspring('broadcast', 'resend', id)).toMatchObject({ code: 2, out: '' });
    expect(await wellspring('broadcast', 'resend', 'news')).toMatchObject({ code: 2, out: '' });
  });
});
