import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommand } from '../../../../src/commands/wellspring.command.js';
import { openDesk, type Desk } from '../../broadcasts/desk.js';
import { enroll, insertFunnel } from '../post-office.js';
import { empty } from '../../../support/database.js';

/** The relay took three mails of a broadcast and one of a sequence, and never said so. */
describe('the owner, at a terminal, with mails of which nobody knows whether they were taken', () => {
  let desk: Desk;
  let folder: string;
  let broadcast: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'wellspring-unknown-'));
    desk = await openDesk();
    const { t } = desk;
    await desk.people(3);
    const id = await desk.started();
    await desk.settle(id);
    broadcast = `broadcast:${id}`;
    await insertFunnel(t.db, 'niche-ebook');
    const subscriberId = await t.subscriber('grace@example.org');
    await t.plan('grace@example.org', { subscriberId, enrollmentId: await enroll(t.db, subscriberId) });
    await t.db.query(`update message set state = 'unknown', unknown_count = 1`);
    await empty(t.db, 'message_attempt');
  });
  afterAll(async () => {
    await desk.t.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('sees where they are, and how many may go once more', async () => {
    expect(await wellspring('list')).toEqual({
      code: 0,
      out: `${broadcast}: 3 mails not certain, 3 may be sent once more\nniche-ebook: 1 mail not certain, 1 may be sent once more\n`,
      error: '',
    });
  });

  it('is told how many would go, and nothing goes without --yes', async () => {
    const asked = await wellspring('resend', broadcast);
    expect(asked.code).toBe(1);
    expect(asked.out).toMatch(/^3 mails of broadcast:\d+ may be sent once more /);
    expect(asked.out).toContain(`Nothing was sent. To send: wellspring unknown resend ${broadcast} --yes\n`);
    expect(await waiting()).toBe(0);
  });

  it('is told what may be named when a name has no such mails', async () => {
    for (const name of ['nich-ebook', 'broadcast:999'])
      expect(await wellspring('resend', name, '--yes')).toMatchObject({
        code: 1,
        out: `Nothing was sent: of ${name} no mail may be sent once more. Such mails are there of ${broadcast}, niche-ebook.\n`,
      });
    expect(await wellspring('resend', 'broadcast:x')).toMatchObject({ code: 2, out: '' });
    expect(await wellspring('resend')).toMatchObject({ code: 2, out: '' });
    expect(await waiting()).toBe(0);
  });

  it('is told to let a broadcast go on that is paused', async () => {
    await desk.t.db.query(`update broadcast set state = 'paused'`);
    const refused = await wellspring('resend', broadcast, '--yes');
    expect(refused).toMatchObject({
      code: 1,
      out: '',
      error: 'nothing of a broadcast that is paused is sent: let it go on first\n',
    });
    await desk.t.db.query(`update broadcast set state = 'done'`);
    expect(await waiting()).toBe(0);
  });

  it('sends each of them once, however often it is said', async () => {
    expect(await wellspring('resend', broadcast, '--yes')).toEqual({
      code: 0,
      out: `3 mails of ${broadcast} go out once more.\n`,
      error: '',
    });
    expect(await waiting()).toBe(3);
    expect((await wellspring('resend', broadcast, '--yes')).code).toBe(1);
    const { code, out } = await wellspring('resend', 'niche-ebook', '--yes', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual({ what: 'niche-ebook', resendable: 1, resent: 1 });
    expect(await waiting()).toBe(4);
    expect((await wellspring('list')).out).toBe('There are none.\n');
  });

  async function waiting(): Promise<number> {
    const rows: { count: number }[] = await desk.t.db.query(
      `select count(*)::int as count from message where state = 'ready' and state_reason = 'sent once more by the owner'`,
    );
    return rows[0]?.count ?? -1;
  }

  async function wellspring(...args: string[]): Promise<{ code: number; out: string; error: string }> {
    const said = { out: '', error: '' };
    const code = await runCommand(['unknown', ...args], {
      env: { DATABASE_URL: desk.t.config.databaseUrl ?? '', DATA_DIR: folder, LOG_LEVEL: 'silent' },
      out: (text) => (said.out += text),
      error: (text) => (said.error += text),
    });
    return { code, ...said };
  }
}, 120_000);
