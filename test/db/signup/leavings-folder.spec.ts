import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { AlertsService } from '../../../src/infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../../../src/infra/clock.js';
import { CONFIG, type Config } from '../../../src/infra/config.js';
import { becomesTrue } from '../../../src/infra/database/postmaster.js';
import { KeptLeavings } from '../../../src/subscribers/kept-leavings.service.js';
import { Keepers } from '../../../src/subscribers/keepers.service.js';
import { LeaveService } from '../../../src/subscribers/leave.service.js';
import { LeavingsAlerts } from '../../../src/subscribers/leavings-alerts.service.js';
import { WaitingLeavings } from '../../../src/subscribers/waiting-leavings.service.js';
import type { TestApp } from '../../support/app.js';
import { startAppBehindSocket, type AppBehindSocket } from '../../support/app-behind-socket.js';
import { empty } from '../../support/database.js';
import { newReader, type Reader } from '../../support/reader.js';
import { refuseWrites, takeWrites } from '../../support/refused-writes.js';
import { pass } from '../../support/steady-time.js';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

describe('who left by a link that stands in a folder that is gone, as a disk that is not mounted', () => {
  let behind: AppBehindSocket;
  let front: AppBehindSocket['front'];
  let t: TestApp;
  let folder: string;
  let first: KeptLeavings;
  beforeAll(async () => {
    behind = await startAppBehindSocket();
    ({ t, front } = behind);
    folder = join(t.app.get<Config>(CONFIG).dataDir, 'leavings');
    first = t.app.get(KeptLeavings, { strict: false });
  });
  afterAll(async () => behind.close());
  afterEach(async () => {
    vi.restoreAllMocks();
    await takeWrites(t.dataSource);
    await rm(`${folder}.elsewhere`, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    await first.takeUp();
    await empty(t.dataSource, 'alert');
  });

  const notWritable = async (): Promise<void> => refuseWrites(t.dataSource, 'P0001', ['suppression']);
  const oneClick = async (link: string): Promise<number> =>
    (await t.http.post(link).type('form').send('List-Unsubscribe=One-Click')).status;
  const leavings = async (): Promise<string[]> =>
    (await readdir(folder)).filter((name) => name.endsWith('.json'));
  const isGone = async (): Promise<void> => rename(folder, `${folder}.elsewhere`);
  const status = async (address: string): Promise<string> => {
    const rows: { status: string }[] = await t.dataSource.query(
      'select status from subscriber where email_key = $1',
      [address],
    );
    return rows[0]?.status ?? 'nobody';
  };
  /** On the same database. */
  const nextProcess = (dataDir = t.app.get<Config>(CONFIG).dataDir): KeptLeavings => {
    const clock = t.app.get<Clock>(CLOCK);
    const [leave, alerts] = [
      t.app.get(LeaveService, { strict: false }),
      t.app.get(AlertsService, { strict: false }),
    ];
    const said = new LeavingsAlerts(alerts, clock);
    return new KeptLeavings(
      leave,
      new WaitingLeavings(t.dataSource, leave, said, clock),
      new Keepers(t.dataSource),
      said,
      { ...t.app.get<Config>(CONFIG), dataDir },
      clock,
    );
  };
  const tokenOf = ({ unsubscribe }: Reader): string => unsubscribe.split('/').at(-1) ?? '';

  it('is off the list though the database was away until then: they were forgotten, and the next mail went', async () => {
    const { unsubscribe, email } = await newReader(t, 'away@example.com');
    const own = (await t.mailsTo(email)).length;
    await front.close();
    expect([await oneClick(unsubscribe), await first.takeUp()]).toEqual([200, false]);
    await isGone();
    await front.open();
    expect(await first.takeUp()).toBe(true);
    t.clock.advance(7 * DAY_MS);
    await t.runDue();
    expect([await status(email), (await t.mailsTo(email)).length]).toEqual(['unsubscribed', own]);
  });

  it('is off the list when it takes writes again: they stayed on it, and whoever left after them was turned away', async () => {
    const [one, next] = [await newReader(t, 'known@example.com'), await newReader(t, 'later@example.com')];
    await notWritable();
    expect([await oneClick(one.unsubscribe), await first.takeUp()]).toEqual([200, false]);
    await rm(folder, { recursive: true });
    expect([await oneClick(next.unsubscribe), await first.takeUp()]).toEqual([200, false]);
    await takeWrites(t.dataSource);
    expect([await first.takeUp(), await status(one.email), await status(next.email)]).toEqual([
      ...[true, 'unsubscribed', 'unsubscribed'],
    ]);
  });

  /** The owner has been told of somebody who left; the process ends. */
  const waitsAndTold = async (name: string): Promise<string> => {
    const { unsubscribe, email } = await newReader(t, `${name}@example.com`);
    await notWritable();
    expect([await oneClick(unsubscribe), await first.takeUp()]).toEqual([200, false]);
    pass(t.clock, 2 * MINUTE_MS);
    expect([await first.takeUp(), await isTold()]).toEqual([false, true]);
    return email;
  };
  const isTold = async (): Promise<boolean> => {
    const open = await t.app.get(AlertsService, { strict: false }).open();
    return open.some(({ key }) => key === 'leavings:waiting');
  };
  const started = async (): Promise<KeptLeavings> => {
    const next = nextProcess();
    await next.start();
    await next.onApplicationShutdown();
    return next;
  };

  it('is told of no longer when the next process has taken them off: it stood there for two hours, and mails were said to wait', async () => {
    const email = await waitsAndTold('over');
    await takeWrites(t.dataSource);
    await started();
    expect([await status(email), await isTold()]).toEqual(['unsubscribed', false]);
  });

  /** Somebody has left by it while the database was away, and it has ended without a word to that. */
  const endedWith = async (leaver: Reader, dataDir: string): Promise<void> => {
    const ended = nextProcess(dataDir);
    await ended.start();
    await front.close();
    expect(await ended.keep(tokenOf(leaver), 'one_click')).toEqual({ kind: 'kept' });
    await ended.onApplicationShutdown();
    await front.open();
  };
  const newFolder = async (): Promise<string> => mkdtemp(join(tmpdir(), 'wellspring-folder-'));
  const mailsTo = async (...readers: Reader[]): Promise<number[]> =>
    Promise.all(readers.map(async ({ email }) => (await t.mailsTo(email)).length));

  /** The word of a process holds for seconds: on a busy machine it may just have run out. */
  const runsUntilMailed = async (reader: Reader, mails: number): Promise<void> => {
    const areThere = async (): Promise<boolean> => {
      await t.runDue();
      return (await t.mailsTo(reader.email)).length === mails;
    };
    expect(await becomesTrue(areThere, 20_000)).toBe(true);
  };

  it('is not taken for nobody by a process on an empty mount point, until the disk is there, on whichever machine: their mail went', async () => {
    const [leaver, stays] = [
      await newReader(t, 'on-disk@example.com'),
      await newReader(t, 'not@example.com'),
    ];
    const [disk, mountPoint] = [await newFolder(), await newFolder()];
    const [own = 0, theirs = 0] = await mailsTo(leaver, stays);
    await endedWith(leaver, disk);
    const onNothing = nextProcess(mountPoint);
    await onNothing.start();
    t.clock.advance(7 * DAY_MS);
    await t.runDue();
    expect(await mailsTo(leaver, stays)).toEqual([own, theirs]);
    // A new container has another host name, and its disk may be mounted elsewhere.
    await t.dataSource.query(`update leavings_keeper set place = 'another:/data'`);
    await rename(disk, `${disk}-mounted`);
    const next = nextProcess(`${disk}-mounted`);
    await next.start();
    expect(await status(leaver.email)).toBe('unsubscribed');
    await runsUntilMailed(stays, theirs + 1);
    expect(await mailsTo(leaver, stays)).toEqual([own, theirs + 1]);
    for (const one of [onNothing, next]) await one.onApplicationShutdown();
    expect(await t.dataSource.query('select 1 from leavings_keeper')).toEqual([]);
    for (const one of [`${disk}-mounted`, mountPoint]) await rm(one, { recursive: true });
  });

  it('keeps no mails of others back where a process cannot use its folder at all, as on a disk that is read-only: they waited an hour after each start', async () => {
    const stays = await newReader(t, 'no-disk@example.com');
    const [own = 0] = await mailsTo(stays);
    const dataDir = await newFolder();
    await writeFile(join(dataDir, 'leavings'), '');
    const process = nextProcess(dataDir);
    await process.start();
    await expect(process.keep(tokenOf(stays), 'one_click')).rejects.toThrow('cannot be noted');
    t.clock.advance(7 * DAY_MS);
    await runsUntilMailed(stays, own + 1);
    await process.onApplicationShutdown();
    expect(await t.dataSource.query('select 1 from leavings_keeper')).toEqual([]);
    await rm(dataDir, { recursive: true });
  });

  it('is taken off the list once by two processes on one folder, whoever comes first, and none is left there', async () => {
    const readers = [];
    for (let n = 0; n < 4; n++) readers.push(await newReader(t, `both${n}@example.com`));
    const other = nextProcess();
    await notWritable();
    for (const [n, { unsubscribe }] of readers.entries()) {
      const token = unsubscribe.split('/').at(-1) ?? '';
      // Who clicks twice may be answered by either of them.
      const [one, next] = n % 2 === 0 ? [first, other] : [other, first];
      expect(await Promise.all([one.keep(token, 'one_click'), next.keep(token, 'one_click')])).toEqual([
        { kind: 'kept' },
        { kind: 'kept' },
      ]);
    }
    expect(await leavings()).toHaveLength(4);
    expect(await Promise.all([first.takeUp(), other.takeUp()])).toEqual([false, false]);
    await takeWrites(t.dataSource);
    // What one has in hand the other leaves alone, and a look lasts a second.
    const areOff = async (): Promise<boolean> =>
      (await Promise.all([first.takeUp(), other.takeUp()])).every(Boolean);
    expect(await becomesTrue(areOff, 20_000)).toBe(true);
    expect(await leavings()).toEqual([]);
    const left: unknown[] = await t.dataSource.query(
      `select s.email_key as email, s.status, count(e.id)::int as told
       from subscriber s left join consent_event e on e.subscriber_id = s.id and e.kind = 'withdrawn' and e.purpose = 'marketing'
       where s.email_key like 'both%' group by 1, 2 order by 1`,
    );
    expect(left).toEqual(readers.map(({ email }) => ({ email, status: 'unsubscribed', told: 1 })));
  });
});
