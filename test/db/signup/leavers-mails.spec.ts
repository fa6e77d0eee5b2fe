import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { instantText } from '../../../src/analytics/explanation.js';
import { LeaversMails } from '../../../src/delivery/sending/leavers-mails.service.js';
import { SenderService } from '../../../src/delivery/sending/sender.service.js';
import { AlertsService } from '../../../src/infra/alerts/alerts.service.js';
import { CONFIG, type Config } from '../../../src/infra/config.js';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { KeptLeavings } from '../../../src/subscribers/kept-leavings.service.js';
import { API_KEY, startTestApp, type TestApp } from '../../support/app.js';
import { newReader } from '../../support/reader.js';
import { refuseWrites, takeWrites } from '../../support/refused-writes.js';
import { pass } from '../../support/steady-time.js';

const ONE_CLICK = 'List-Unsubscribe=One-Click';
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const NEVER = new AbortController().signal;

/** The database answers, and nothing can be written about who may get mails. */
describe('mails of readers who have left by a link that the database cannot take', () => {
  let t: TestApp;
  let leavers: LeaversMails;
  let folder: string;
  let count = 0;
  let reader: string;
  let other: string;
  beforeAll(async () => {
    t = await startTestApp();
    t.app.useLogger(false);
    folder = join(t.app.get<Config>(CONFIG).dataDir, 'leavings');
    leavers = t.app.get(LeaversMails, { strict: false });
  });
  afterAll(async () => t.close());
  beforeEach(() => {
    reader = `leaves${++count}@example.com`;
    other = `stays${count}@example.com`;
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await takeWrites(t.dataSource);
    await rm(folder, { recursive: true, force: true });
    // Whose folder is gone is not forgotten.
    await mkdir(folder);
    await takeUp();
  });

  const takeUp = async (): Promise<boolean> => t.app.get(KeptLeavings, { strict: false }).takeUp();
  const notWritable = async (): Promise<void> => refuseWrites(t.dataSource, 'P0001', ['suppression']);
  const mails = async (address: string): Promise<number> => (await t.mailsTo(address)).length;
  const waitingTold = async (): Promise<string | null> => {
    const told: { message: string }[] = await t.dataSource.query(
      `select message from alert where key = 'leavings:waiting' and resolved_at is null`,
    );
    return told[0]?.message ?? null;
  };
  /** In the words of the API, of the last mail that was planned for them. */
  const whyNot = async (address: string): Promise<string> => {
    const rows: { id: string }[] = await t.dataSource.query(
      `select max(m.id) as id from message m join subscriber s on s.id = m.subscriber_id where s.email_key = $1`,
      [address],
    );
    const url = `/api/v1/messages/${rows[0]?.id}/explain`;
    return (await t.http.get(url).set('Authorization', `Bearer ${API_KEY}`).expect(200)).body
      .answer as string;
  };
  /** Ends with the link to unsubscribe in their first mail. */
  const joined = async (address: string): Promise<string> => (await newReader(t, address)).unsubscribe;
  const oneClick = async (link: string): Promise<void> => {
    const { status, text } = await t.http.post(link).type('form').send(ONE_CLICK);
    expect([status, text]).toEqual([200, 'Unsubscribed.\n']);
  };

  it('ends a run of mails that is under way when it comes: the mails of its reader went for minutes', async () => {
    const link = await joined(reader);
    await notWritable();
    const stopped: boolean[] = [];
    const run = async (signal: AbortSignal): Promise<void> => {
      await takeUp();
      stopped.push(signal.aborted);
      await oneClick(link);
      await takeUp();
      stopped.push(signal.aborted);
    };
    await leavers.sendBeside(NEVER, run);
    expect(stopped).toEqual([false, true]);
    // The mails of all wait; an hour later those of others go, and this reader's leaving stops none of them again.
    await leavers.sendBeside(NEVER, run);
    expect(stopped).toHaveLength(2);
    t.clock.advance(HOUR_MS);
    await leavers.sendBeside(NEVER, run);
    expect(stopped).toEqual([false, true, false, false]);
  });

  it('sends nothing of a list to its reader after that hour either, though others get theirs: it went out', async () => {
    const link = await joined(reader);
    await joined(other);
    const before = [await mails(reader), await mails(other)];
    await notWritable();
    await oneClick(link);
    t.clock.advance(7 * DAY_MS);
    await t.runDue();
    const [own, theirs] = [await mails(reader), await mails(other)];
    expect(own).toBe(before[0]);
    expect(theirs).toBeGreaterThan(before[1] ?? 0);
  });

  it('sends them none that is planned while a run is under way: it went out until the run had ended', async () => {
    const link = await joined(reader);
    await joined(other);
    const [own, theirs] = [await mails(reader), await mails(other)];
    await notWritable();
    await oneClick(link);
    t.clock.advance(7 * DAY_MS);
    await leavers.sendBeside(NEVER, async (signal) => {
      await t.app.get(JobRunner).run('sequences.advance-due');
      const deadline = t.clock.now().getTime() + HOUR_MS;
      await t.app.get(SenderService, { strict: false }).sendDue({ deadline, signal });
    });
    expect(await mails(other)).toBeGreaterThan(theirs);
    expect(await mails(reader)).toBe(own);
    expect(await whyNot(reader)).toMatch(/^The person had left by the link of a mail/);
  });

  it('sends them none either when the folder with their leavings cannot be read any more: they were forgotten', async () => {
    const link = await joined(reader);
    await joined(other);
    const [own, theirs] = [await mails(reader), await mails(other)];
    await notWritable();
    await oneClick(link);
    expect(await takeUp()).toBe(false);
    await rename(folder, `${folder}.elsewhere`);
    // Root may read all folders, and nobody a file as a folder.
    await writeFile(folder, '');
    pass(t.clock, 7 * DAY_MS);
    await t.runDue();
    expect(await mails(other)).toBeGreaterThan(theirs);
    expect(await mails(reader)).toBe(own);
    expect(await waitingTold()).toContain(
      'some cannot be read: whoever left there is not known, and gets mails',
    );
    await rm(`${folder}.elsewhere`, { recursive: true });
  });

  it('sends them none either when that folder is gone, as a disk that is not mounted: they were forgotten', async () => {
    const [link, theirLink] = [await joined(reader), await joined(other)];
    const [own, theirs] = [await mails(reader), await mails(other)];
    await notWritable();
    await oneClick(link);
    expect(await takeUp()).toBe(false);
    await rename(folder, `${folder}.elsewhere`);
    // Kept in a new folder in its place, it would be forgotten with the disk's return, and the first at once.
    await t.http.post(theirLink).type('form').send(ONE_CLICK).expect(503);
    pass(t.clock, 2 * MINUTE_MS);
    expect([await takeUp(), await takeUp()]).toEqual([false, false]);
    expect(await waitingTold()).toContain('ENOENT');
    pass(t.clock, 7 * DAY_MS);
    await t.runDue();
    expect(await mails(other)).toBeGreaterThan(theirs);
    expect(await mails(reader)).toBe(own);
    await takeWrites(t.dataSource);
    await rename(`${folder}.elsewhere`, folder);
    expect([await takeUp(), await waitingTold()]).toEqual([true, null]);
  });

  it('explains the mail of somebody else that waits for them by that: nothing held it back, it said', async () => {
    const link = await joined(reader);
    await notWritable();
    await oneClick(link);
    await takeUp();
    pass(t.clock, 2 * MINUTE_MS);
    await t.http.post('/p/niches').type('form').send({ email: other }).expect(200);
    await t.runDue();
    expect([await mails(other), await whyNot(other)]).toEqual([
      0,
      expect.stringMatching(
        /^Readers who left by a link cannot be taken off the list yet\. .*at the latest\.$/,
      ),
    ]);
    await takeWrites(t.dataSource);
    await takeUp();
    expect(await whyNot(other)).toMatch(/^Nothing holds the mail back/);
  });

  it('explains it so until an hour after the leaving and no longer: an hour after the owner was told, though mails went', async () => {
    const link = await joined(reader);
    await notWritable();
    await oneClick(link);
    const overAt = instantText(new Date(t.clock.now().getTime() + HOUR_MS));
    await takeUp();
    // As a process that was started only then: it tells the owner a minute later.
    t.clock.advance(50 * MINUTE_MS);
    await takeUp();
    pass(t.clock, 2 * MINUTE_MS);
    await t.http.post('/p/niches').type('form').send({ email: other }).expect(200);
    await t.runDue();
    expect([await mails(other), await whyNot(other)]).toEqual([
      0,
      expect.stringContaining(`All mails wait for that, until ${overAt} at the latest.`),
    ]);
    pass(t.clock, 8 * MINUTE_MS);
    expect([await takeUp(), await whyNot(other)]).toEqual([
      true,
      expect.stringMatching(/^Nothing holds the mail back/),
    ]);
  });

  it('explains it so while the hold lasts: it said that nothing does once the alert was an hour old', async () => {
    const link = await joined(reader);
    const alerts = t.app.get(AlertsService, { strict: false });
    // As of leavers of before, the last of whom a process that ended meanwhile had taken up.
    await alerts.raise({ key: 'leavings:waiting', severity: 'critical', message: 'of those before' });
    pass(t.clock, HOUR_MS);
    await notWritable();
    await oneClick(link);
    await takeUp();
    pass(t.clock, 2 * MINUTE_MS);
    await t.http.post('/p/niches').type('form').send({ email: other }).expect(200);
    await t.runDue();
    expect([await mails(other), await whyNot(other)]).toEqual([
      0,
      expect.stringMatching(/^Readers who left by a link cannot be taken off the list yet\./),
    ]);
  });
});
