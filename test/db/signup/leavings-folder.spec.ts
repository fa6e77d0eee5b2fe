import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { AlertsService } from '../../../src/infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../../../src/infra/clock.js';
import { CONFIG, type Config } from '../../../src/infra/config.js';
import { KeptLeavings } from '../../../src/subscribers/kept-leavings.service.js';
import { LeaveService } from '../../../src/subscribers/leave.service.js';
import { LeavingsAlerts } from '../../../src/subscribers/leavings-alerts.service.js';
import type { TestApp } from '../../support/app.js';
import { startAppBehindSocket, type AppBehindSocket } from '../../support/app-behind-socket.js';
import { empty } from '../../support/database.js';
import { newReader } from '../../support/reader.js';
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
  const isGone = async (): Promise<void> => rename(folder, `${folder}.elsewhere`);
  const status = async (address: string): Promise<string> => {
    const rows: { status: string }[] = await t.dataSource.query(
      'select status from subscriber where email_key = $1',
      [address],
    );
    return rows[0]?.status ?? 'nobody';
  };
  /** On the same folder and database. */
  const nextProcess = (): KeptLeavings => {
    const clock = t.app.get<Clock>(CLOCK);
    return new KeptLeavings(
      t.app.get(LeaveService, { strict: false }),
      t.dataSource,
      new LeavingsAlerts(t.app.get(AlertsService, { strict: false }), clock),
      t.app.get<Config>(CONFIG),
      clock,
    );
  };

  it('is off the list though the database was away until then: they were forgotten, and the next mail went', async () => {
    const { unsubscribe, email } = await newReader(t, 'away@example.com');
    const own = (await t.mailsTo(email)).length;
    await front.close();
    expect([await oneClick(unsubscribe), await first.takeUp()]).toEqual([200, false]);
    await isGone();
    await front.open();
    expect([await first.takeUp(), await first.takeUp()]).toEqual([false, true]);
    t.clock.advance(7 * DAY_MS);
    await t.runDue();
    expect([await status(email), (await t.mailsTo(email)).length]).toEqual(['unsubscribed', own]);
  });

  it('is off the list when it takes writes again: they stayed on it, and whoever left after them was turned away', async () => {
    const [one, next] = [await newReader(t, 'known@example.com'), await newReader(t, 'later@example.com')];
    await notWritable();
    expect([await oneClick(one.unsubscribe), await first.takeUp()]).toEqual([200, false]);
    await rm(folder, { recursive: true });
    await takeWrites(t.dataSource);
    expect([await first.takeUp(), await status(one.email)]).toEqual([false, 'unsubscribed']);
    expect(await first.takeUp()).toBe(true);
    await notWritable();
    expect([await oneClick(next.unsubscribe), await first.takeUp()]).toEqual([200, false]);
  });

  it('is known still when another process makes the folder anew for the next: they were forgotten for that one', async () => {
    const [one, next] = [await newReader(t, 'before@example.com'), await newReader(t, 'after@example.com')];
    await notWritable();
    expect([await oneClick(one.unsubscribe), await first.takeUp()]).toEqual([200, false]);
    await isGone();
    const other = nextProcess();
    const token = next.unsubscribe.split('/').at(-1) ?? '';
    expect(await other.keep(token, 'one_click')).toEqual({ kind: 'kept' });
    expect(await readdir(folder)).toHaveLength(1);
    await first.takeUp();
    expect(
      first
        .waiting()
        .map(({ subscriberId }) => subscriberId)
        .toSorted(byNumber),
    ).toEqual([one.id, next.id].toSorted(byNumber));
    await takeWrites(t.dataSource);
    await first.takeUp();
    expect([await status(one.email), await status(next.email)]).toEqual(['unsubscribed', 'unsubscribed']);
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

  it('holds the mails of others also after a start until their hour is over, and is told of until it is there again: all went, and it was said to be over', async () => {
    const token = (await newReader(t, 'leaves-next@example.com')).unsubscribe.split('/').at(-1) ?? '';
    await waitsAndTold('restarted');
    await isGone();
    const next = await started();
    expect(await next.takeUp()).toBe(false);
    // Made anew for the next, it would be a folder in which nobody waits.
    await expect(next.keep(token, 'one_click')).rejects.toMatchObject({ code: 'LEAVING_UNAVAILABLE' });
    pass(t.clock, 57 * MINUTE_MS);
    expect(await next.takeUp()).toBe(false);
    pass(t.clock, 2 * MINUTE_MS);
    expect([await next.takeUp(), await isTold()]).toEqual([true, true]);
    pass(t.clock, 2 * 60 * MINUTE_MS);
    expect([await (await started()).takeUp(), await isTold()]).toEqual([true, true]);
    await takeWrites(t.dataSource);
    await rename(`${folder}.elsewhere`, folder);
    const last = await started();
    expect([await last.takeUp(), await status('restarted@example.com'), await isTold()]).toEqual([
      true,
      'unsubscribed',
      false,
    ]);
  });

  it('for good keeps the next who leaves when the hour is over, which ends the alert: they were turned away, and it never ended', async () => {
    const later = await newReader(t, 'leaves-later@example.com');
    const token = later.unsubscribe.split('/').at(-1) ?? '';
    await waitsAndTold('lost');
    await isGone();
    const next = await started();
    pass(t.clock, 60 * MINUTE_MS);
    expect([await next.takeUp(), await isTold()]).toEqual([true, true]);
    const open = await t.app.get(AlertsService, { strict: false }).open();
    expect(open[0]?.message).toContain('make an empty folder in its place');
    expect(await next.keep(token, 'one_click')).toEqual({ kind: 'kept' });
    await takeWrites(t.dataSource);
    expect([await next.takeUp(), await status(later.email), await isTold()]).toEqual([
      ...[true, 'unsubscribed', false],
    ]);
  });

  it('is told of no longer when the next process has taken them off: it stood there for two hours, and mails were said to wait', async () => {
    const email = await waitsAndTold('over');
    await takeWrites(t.dataSource);
    await started();
    expect([await status(email), await isTold()]).toEqual(['unsubscribed', false]);
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
    expect(await readdir(folder)).toHaveLength(4);
    expect(await Promise.all([first.takeUp(), other.takeUp()])).toEqual([false, false]);
    await takeWrites(t.dataSource);
    expect(await Promise.all([first.takeUp(), other.takeUp()])).toEqual([true, true]);
    expect(await readdir(folder)).toEqual([]);
    expect([first.waiting(), other.waiting()]).toEqual([[], []]);
    const left: unknown[] = await t.dataSource.query(
      `select s.email_key as email, s.status, count(e.id)::int as told
       from subscriber s left join consent_event e on e.subscriber_id = s.id and e.kind = 'withdrawn' and e.purpose = 'marketing'
       where s.email_key like 'both%' group by 1, 2 order by 1`,
    );
    expect(left).toEqual(readers.map(({ email }) => ({ email, status: 'unsubscribed', told: 1 })));
  });
});

function byNumber(a: string, b: string): number {
  return Number(a) - Number(b);
}
