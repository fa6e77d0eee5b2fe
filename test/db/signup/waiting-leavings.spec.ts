import { mkdir, readdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { AlertsService } from '../../../src/infra/alerts/alerts.service.js';
import { CONFIG, type Config } from '../../../src/infra/config.js';
import { KeptLeavings } from '../../../src/subscribers/kept-leavings.service.js';
import { signIds } from '../../../src/values/signed-token.js';
import { API_KEY, type TestApp } from '../../support/app.js';
import { startAppBehindSocket, type AppBehindSocket } from '../../support/app-behind-socket.js';
import { empty } from '../../support/database.js';
import { newReader } from '../../support/reader.js';
import { refuseWrites, takeWrites } from '../../support/refused-writes.js';
import { pass as passOn } from '../../support/steady-time.js';

const ONE_CLICK = 'List-Unsubscribe=One-Click';
const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
const NOT_WRITABLE = ['subscriber', 'suppression', 'consent_event', 'alert'];

describe('a leaving that the database does not take', () => {
  let behind: AppBehindSocket;
  let front: AppBehindSocket['front'];
  let t: TestApp;
  let folder: string;
  let count = 0;
  let reader: string;
  beforeAll(async () => {
    behind = await startAppBehindSocket();
    ({ t, front } = behind);
    folder = join(t.app.get<Config>(CONFIG).dataDir, 'leavings');
  });
  afterAll(async () => behind.close());
  beforeEach(() => {
    reader = `waits${++count}@example.com`;
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await writable();
    await rm(folder, { recursive: true, force: true });
    await takeUp();
    await empty(t.dataSource, 'alert');
  });

  const pass = (ms: number): void => passOn(t.clock, ms);
  const notWritable = async (code: string, tables = NOT_WRITABLE): Promise<void> =>
    refuseWrites(t.dataSource, code, tables);
  const writable = async (): Promise<void> => takeWrites(t.dataSource);
  const openAlerts = async (): Promise<string[]> => {
    const rows: { key: string }[] = await t.dataSource.query(
      `select key from alert where key like 'leavings:%' and resolved_at is null order by key`,
    );
    // Behind it is the folder.
    return rows.map(({ key }) => key.replace(/^(leavings:failed):.*/, '$1'));
  };
  const status = async (): Promise<string> => {
    const rows: { status: string }[] = await t.dataSource.query(
      'select status from subscriber where email_key = $1',
      [reader],
    );
    return rows[0]?.status ?? 'nobody';
  };
  const unsubscribeLink = async (): Promise<string> => (await newReader(t, reader)).unsubscribe;
  const oneClick = async (link: string): Promise<void> => {
    const { status: code, text } = await t.http.post(link).type('form').send(ONE_CLICK);
    expect([code, text]).toEqual([200, 'Unsubscribed.\n']);
  };
  const kept = async (): Promise<string[]> =>
    (await readdir(folder).catch(() => []))
      .filter((name) => !name.endsWith('.folder'))
      .map((name) => name.replace(/^[0-9a-f]{64}/, '*'));
  const takeUp = async (): Promise<boolean> => t.app.get(KeptLeavings, { strict: false }).takeUp();
  const daysPass = async (): Promise<void> => {
    for (let day = 0; day < 7; day++) {
      t.clock.advance(DAY_MS);
      await t.runDue();
    }
  };
  const mails = async (address = reader): Promise<number> => (await t.mailsTo(address)).length;

  it.each(['53100', '25006'])(
    'is done when it writes again (%s): it was put aside, nobody was told, and the next mail went',
    async (code) => {
      const link = await unsubscribeLink();
      const before = await mails();
      t.clock.advance(10 * DAY_MS);
      await notWritable(code);
      await oneClick(link);
      expect([await takeUp(), await takeUp(), await kept()]).toEqual([false, false, []]);
      await t.runDue();
      expect(await mails()).toBe(before);
      await writable();
      expect([await takeUp(), await status(), await kept()]).toEqual([true, 'unsubscribed', []]);
      await t.runDue();
      expect(await mails()).toBe(before);
    },
  );

  it('is not taken for done while the database is away behind a Unix socket', async () => {
    const link = await unsubscribeLink();
    await front.close();
    await oneClick(link);
    const tries = [await takeUp(), await takeUp()];
    await front.open();
    expect([tries, await kept(), await status()]).toEqual([[false, false], ['*.json'], 'active']);
    expect([await takeUp(), await status(), await kept()]).toEqual([true, 'unsubscribed', []]);
  });

  it('keeps none of the mails of others back, and the owner is told until it is done: all waited for an hour', async () => {
    const link = await unsubscribeLink();
    const other = `other-${reader}`;
    await notWritable('P0001', ['suppression']);
    await oneClick(link);
    expect([await takeUp(), await openAlerts()]).toEqual([false, []]);
    await t.http.post('/p/niches').type('form').send({ email: other }).expect(200);
    pass(MINUTE_MS);
    await t.runDue();
    expect([await openAlerts(), await mails(other)]).toEqual([['leavings:waiting'], 1]);
    await writable();
    expect([await takeUp(), await status(), await openAlerts()]).toEqual([true, 'unsubscribed', []]);
  });

  it('has nothing of a list go to its reader, which is explained by it, though others get theirs: it went out', async () => {
    const link = await unsubscribeLink();
    const [own, other] = [await mails(), `stays${count}@example.com`];
    await newReader(t, other);
    const theirs = await mails(other);
    await notWritable('P0001', ['suppression']);
    await oneClick(link);
    await daysPass();
    expect([await mails(), (await mails(other)) > theirs]).toEqual([own, true]);
    const [last]: { id: string }[] = await t.dataSource.query(
      `select max(m.id) as id from message m join subscriber s on s.id = m.subscriber_id where s.email_key = $1`,
      [reader],
    );
    const url = `/api/v1/messages/${last?.id}/explain`;
    const { body } = await t.http.get(url).set('Authorization', `Bearer ${API_KEY}`).expect(200);
    expect(body.answer).toMatch(/^The person had left by the link of a mail/);
  });

  it('keeps no mail from whoever has said yes once more since', async () => {
    const link = await unsubscribeLink();
    const own = await mails();
    await notWritable('P0001', ['suppression']);
    await oneClick(link);
    expect(await takeUp()).toBe(false);
    await t.dataSource.query(
      `insert into consent_event (subscriber_id, kind, purpose, at)
       select id, 'confirmed', 'marketing', $2 from subscriber where email_key = $1`,
      [reader, new Date(t.clock.now().getTime() + 1)],
    );
    await daysPass();
    expect(await mails()).toBeGreaterThan(own);
  });

  it('is taken up at a start where an earlier build had put it aside for a full disk', async () => {
    const link = await unsubscribeLink();
    const later = reader;
    reader = `locked-${reader}`;
    const second = await unsubscribeLink();
    await front.close();
    for (const one of [link, second]) await oneClick(one);
    for (const name of await readdir(folder))
      await rename(join(folder, name), join(folder, `${name}.failed`));
    await front.open();
    const service = t.app.get(KeptLeavings, { strict: false });
    await service.start();
    await service.onApplicationShutdown();
    expect([await kept(), await status()]).toEqual([[], 'unsubscribed']);
    reader = later;
    expect(await status()).toBe('unsubscribed');
  });

  it('is tried again later where somebody holds its row: all mail and each start waited as long, without a word', async () => {
    const link = await unsubscribeLink();
    await front.close();
    await oneClick(link);
    await front.open();
    const other = t.dataSource.createQueryRunner();
    await other.startTransaction();
    await other.query('update subscriber set updated_at = updated_at where email_key = $1', [reader]);
    const first = await Promise.race([takeUp(), delay(5_000, 'waits')]);
    pass(MINUTE_MS);
    const told = first === false && [await takeUp(), await openAlerts()];
    await other.rollbackTransaction();
    await other.release();
    expect([first, told]).toEqual([false, [false, ['leavings:waiting']]]);
    expect([await takeUp(), await status()]).toEqual([true, 'unsubscribed']);
  });

  it('ends each look in a moment while somebody holds the table: the look, and with it a start, took as long as all of them', async () => {
    const links: string[] = [];
    for (let at = 0; at < 12; at++) {
      reader = `many${at}-${count}@example.com`;
      links.push(await unsubscribeLink());
    }
    await front.close();
    for (const link of links) await oneClick(link);
    await front.open();
    const other = t.dataSource.createQueryRunner();
    await other.startTransaction();
    await other.query('lock table suppression in share row exclusive mode');
    const fromMs = Number(process.hrtime.bigint() / 1_000_000n);
    expect(await takeUp()).toBe(false);
    const tookMs = Number(process.hrtime.bigint() / 1_000_000n) - fromMs;
    await other.rollbackTransaction();
    await other.release();
    expect([await takeUp(), await kept()]).toEqual([true, []]);
    expect(tookMs).toBeLessThan(4_000);
  });

  it('keeps none waiting that nobody holds, though each look has time for a few of those that somebody does', async () => {
    const [links, held]: [string[], string[]] = [[], []];
    for (let at = 0; at < 8; at++) {
      reader = `some${at}-${count}@example.com`;
      links.push(await unsubscribeLink());
      if (at > 0) held.push(reader);
    }
    await front.close();
    for (const link of links) await oneClick(link);
    await front.open();
    const other = t.dataSource.createQueryRunner();
    await other.startTransaction();
    await other.query('update subscriber set updated_at = updated_at where email_key = any($1)', [held]);
    for (let looks = 0; looks < 5; looks++) expect(await takeUp()).toBe(false);
    reader = `some0-${count}@example.com`;
    expect(await status()).toBe('unsubscribed');
    await other.rollbackTransaction();
    await other.release();
    expect([await takeUp(), await kept()]).toEqual([true, []]);
  });

  it('does not keep those behind it waiting', async () => {
    const [first, second] = [await unsubscribeLink(), reader];
    reader = `behind-${reader}`;
    const link = await unsubscribeLink();
    await front.close();
    for (const one of [first, link]) await oneClick(one);
    await front.open();
    await t.dataSource.query(
      `create function no_room() returns trigger language plpgsql as
       $$ begin raise exception 'not this one' using errcode = '40P01'; end $$`,
    );
    await t.dataSource.query(
      `create trigger no_room before update on subscriber for each row when (old.email_key = '${second}') execute function no_room()`,
    );
    expect([await takeUp(), await status(), await kept()]).toEqual([false, 'unsubscribed', []]);
  });

  it('is told to the owner later where that could not be written at once', async () => {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, `${'0'.repeat(64)}.json`), '{"token":');
    await notWritable('53100', ['alert']);
    expect([await takeUp(), await kept(), await openAlerts()]).toEqual([true, ['*.json.failed'], []]);
    await writable();
    expect([await takeUp(), await openAlerts()]).toEqual([true, ['leavings:failed']]);
  });

  const cannotBeDone = async (): Promise<string> => {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, `${'0'.repeat(64)}.json`), '{"token":');
    expect([await takeUp(), await openAlerts()]).toEqual([true, ['leavings:failed']]);
    return join(folder, `${'0'.repeat(64)}.json.failed`);
  };

  it('is told of until the owner deletes its file, as the words say: the alert stood for ever', async () => {
    const file = await cannotBeDone();
    const [told]: { message: string }[] = await t.dataSource.query('select message from alert');
    expect(told?.message).toContain('delete its file');
    await rm(file);
    expect([await takeUp(), await openAlerts()]).toEqual([true, []]);
    expect((await t.http.get('/readyz').expect(200)).body).toEqual({ status: 'ok', criticalAlerts: 0 });
  });

  it('is told of for a week after the last where the owner leaves the file there', async () => {
    const file = await cannotBeDone();
    t.clock.advance(7 * DAY_MS - 1);
    expect([await takeUp(), await openAlerts()]).toEqual([true, ['leavings:failed']]);
    t.clock.advance(1);
    expect([await takeUp(), await openAlerts(), await kept()]).toEqual([
      true,
      [],
      [basename(file).replace(/0+/, '*')],
    ]);
  });

  it('is not told of anew when a start has tried it in vain: one of months ago stood there for another week', async () => {
    const secret = t.app.get<Config>(CONFIG).secretKey;
    const token = signIds(secret, 'unsubscribe', ['777777777', '888888888']);
    const file = join(folder, `${'1'.repeat(64)}.json.failed`);
    await mkdir(folder, { recursive: true });
    await writeFile(file, JSON.stringify({ token, via: 'page', at: t.clock.now() }));
    const long = new Date(t.clock.now().getTime() - 60 * DAY_MS);
    await utimes(file, long, long);
    const service = t.app.get(KeptLeavings, { strict: false });
    await service.start();
    await service.onApplicationShutdown();
    expect([await kept(), await openAlerts()]).toEqual([['*.json.failed'], []]);
  });

  it('is told of no longer when its file is deleted while no process ran on that folder', async () => {
    const alerts = t.app.get(AlertsService, { strict: false });
    await alerts.raise({ key: 'leavings:failed', severity: 'critical', message: 'of another machine' });
    await takeUp();
    t.clock.advance(90 * MINUTE_MS);
    expect([await takeUp(), await openAlerts()]).toEqual([true, ['leavings:failed']]);
    t.clock.advance(90 * MINUTE_MS);
    expect([await takeUp(), await openAlerts()]).toEqual([true, []]);
  });

  it('is not forgotten in a folder that cannot be read', async () => {
    const link = await unsubscribeLink();
    await front.close();
    await oneClick(link);
    await front.open();
    await rename(folder, `${folder}.elsewhere`);
    // Root may read all folders, and nobody a file as a folder.
    await writeFile(folder, '');
    expect([await takeUp(), await status()]).toEqual([false, 'unsubscribed']);
    await rm(folder);
    await rename(`${folder}.elsewhere`, folder);
    expect([await takeUp(), await kept()]).toEqual([true, []]);
  });
});
