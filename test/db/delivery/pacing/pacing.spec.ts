import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { PacingService } from '../../../../src/delivery/pacing/pacing.service.js';
import { SendingSettingsService } from '../../../../src/delivery/pacing/sending-settings.service.js';
import { sendingSettings } from '../../../../src/delivery/pacing/sending.schemas.js';
import { insertMessage, openPacing, openWorker, passSeconds, type PacingApp } from './pacing-app.js';
import { empty } from '../../../support/database.js';

const GMAIL = 'example.com|gmail';
const OTHER = 'example.com|other';
/** Days are those of the database's clock: what midnight falls into is done once more. */
const MIDNIGHT = { retry: 1 };

describe('the pace that all workers share', () => {
  let t: PacingApp;
  let pacing: PacingService;
  beforeAll(async () => {
    t = await openPacing();
    pacing = t.app.get(PacingService);
  });
  afterAll(async () => t.close());
  afterEach(async () => {
    await empty(t.db, 'send_bucket');
    pacing.forgetCache();
  });

  const limit = async (settings: unknown): Promise<void> =>
    t.app.get(SendingSettingsService).replace(sendingSettings.parse(settings));
  const allow = async (ready: Record<string, number>, most = 1_000): Promise<Record<string, number>> =>
    Object.fromEntries(
      (
        await pacing.allow(
          Object.entries(ready).map(([queueKey, count]) => ({ queueKey, priority: 5, due: count })),
          most,
        )
      ).granted,
    );

  it('lets everything through where nothing is limited', async () => {
    expect(await allow({ [GMAIL]: 900, default: 40 }, 500)).toEqual({ [GMAIL]: 460, default: 40 });
    expect(await pacing.waitMs([{ queueKey: GMAIL, priority: 5 }])).toBe(0);
  });

  it('obeys a global pace', async () => {
    // One in a hundred seconds: however slow the machine, none comes up between two questions.
    await limit({ global: { perSecond: 0.01, burst: 30 } });
    expect(await allow({ [GMAIL]: 100 })).toEqual({ [GMAIL]: 30 });
    expect(await allow({ [GMAIL]: 100 })).toEqual({});
    expect(await pacing.waitMs([{ queueKey: GMAIL, priority: 5 }])).toBeGreaterThan(0);
    await passSeconds(t.db, 2_000);
    expect((await allow({ [GMAIL]: 100 }))[GMAIL]).toBeGreaterThanOrEqual(20);
  });

  it('limits a recipient group without holding up the others', async () => {
    await limit({ groups: { gmail: { perSecond: 1, burst: 4 } } });
    expect(await allow({ [GMAIL]: 100, [OTHER]: 100, 'example.org|gmail': 100 })).toEqual({
      [GMAIL]: 2,
      'example.org|gmail': 2,
      [OTHER]: 100,
    });
  });

  it('limits a sender domain in all groups together', async () => {
    await limit({ senders: { 'example.com': { perSecond: 1, burst: 6 } } });
    expect(await allow({ [GMAIL]: 100, [OTHER]: 100, 'example.org|gmail': 5 })).toEqual({
      [GMAIL]: 3,
      [OTHER]: 3,
      'example.org|gmail': 5,
    });
  });

  it('stops at the quota of the day and goes on the next day', MIDNIGHT, async () => {
    await limit({ global: { perDay: 7 } });
    expect(await allow({ [GMAIL]: 100 })).toEqual({ [GMAIL]: 6 });
    expect(await allow({ [GMAIL]: 100 })).toEqual({});
    expect(await pacing.waitMs([{ queueKey: GMAIL, priority: 5 }])).toBeLessThanOrEqual(86_400_000);
    await t.db.query(`update send_bucket set quota_day = quota_day - 1`);
    expect(await allow({ [GMAIL]: 100 })).toEqual({ [GMAIL]: 6 });
  });

  it('keeps a fifth of a small day for mails that somebody waits for', MIDNIGHT, async () => {
    await limit({ global: { perDay: 100 } });
    expect(await allow({ [GMAIL]: 500 })).toEqual({ [GMAIL]: 80 });
    expect(await allow({ [GMAIL]: 500 })).toEqual({});
    expect(await pacing.waitMs([{ queueKey: GMAIL, priority: 5 }])).toBeGreaterThan(0);
    const waited = [
      { queueKey: GMAIL, priority: 0, due: 3 },
      { queueKey: GMAIL, priority: 5, due: 497 },
    ];
    expect(await pacing.waitMs(waited)).toBe(0);
    expect((await pacing.allow(waited, 1_000)).granted).toEqual(new Map([[GMAIL, 3]]));
    const receipts = [{ queueKey: GMAIL, priority: 0, due: 19 }];
    expect((await pacing.allow(receipts, 1_000)).granted).toEqual(new Map([[GMAIL, 14]]));
    expect((await pacing.allow(receipts, 1_000)).granted).toEqual(new Map());
  });

  it('warms up a new sender domain', async () => {
    // Tomorrow, which counts as the first day: at midnight it is not the second one.
    const startedOn = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
    await limit({ senders: { 'example.com': { warmUp: { startedOn } } } });
    expect(await allow({ [GMAIL]: 5_000, 'example.org|gmail': 300 }, 5_000)).toEqual({
      [GMAIL]: 100,
      'example.org|gmail': 300,
    });
  });

  it('let a warm-up grow by the calendar: it grows by the days on which mails went', MIDNIGHT, async () => {
    const startedOn = new Date(Date.now() - 30 * 86_400_000).toISOString().slice(0, 10);
    const warmUp = { senders: { 'example.com': { warmUp: { startedOn } } } };
    await limit(warmUp);
    const daysLater = async (days: number): Promise<number> => {
      await t.db.query('update send_bucket set quota_day = quota_day - $1::int', [days]);
      return (await allow({ [GMAIL]: 5_000 }, 5_000))[GMAIL] ?? 0;
    };
    expect(await daysLater(0)).toBe(100);
    expect(await daysLater(10)).toBe(140);
    // Somebody looks at a limit on a day on which nothing goes.
    await t.db.query('update send_bucket set used_today = 0');
    expect(await daysLater(1)).toBe(140);
    await limit(warmUp);
    expect(await daysLater(1)).toBe(196);
  });

  it('takes back what was not sent', async () => {
    await limit({ global: { perSecond: 0.001, burst: 5, perDay: 6 } });
    expect(await allow({ [GMAIL]: 5 })).toEqual({ [GMAIL]: 5 });
    await pacing.giveBack(GMAIL, 3);
    expect(await allow({ [GMAIL]: 5 })).toEqual({ [GMAIL]: 3 });
  });

  it('never lets through more than there is when eight workers ask at once', async () => {
    await limit({
      global: { perSecond: 0.001, burst: 100 },
      groups: { gmail: { perSecond: 0.001, burst: 30 } },
    });
    const workers = await Promise.all(Array.from({ length: 3 }, async () => openWorker(t.url)));
    const asked = await Promise.all(
      Array.from({ length: 24 }, async (_, index) =>
        (workers[index % 3]?.app.get(PacingService) ?? pacing).allow(
          [
            { queueKey: index % 2 === 0 ? GMAIL : OTHER, priority: 5, due: 9 },
            { queueKey: index % 2 === 0 ? OTHER : GMAIL, priority: 5, due: 9 },
          ],
          9,
        ),
      ),
    );
    const sum = (queue: string): number => asked.reduce((all, one) => all + (one.granted.get(queue) ?? 0), 0);
    expect(sum(GMAIL)).toBe(30);
    expect(sum(GMAIL) + sum(OTHER)).toBe(100);
    for (const worker of workers) await worker.close();
  });

  it('slows a queue down from the pace of all that send in it, not of the one that heard of it', async () => {
    const leased = { state: 'leased', lane_key: GMAIL, lease_until: new Date() };
    // Each claim of a worker has an owner of its own.
    for (const [claim, worker] of [1, 2, 3, 3].entries())
      await insertMessage(t.db, {
        ...leased,
        lease_owner: `00000000-0000-0000-0000-00000000000${worker}/${claim}`,
      });
    await pacing.sped(GMAIL, 30);
    for (let n = 0; n < 3; n++) await pacing.slowDown(GMAIL, 421);
    const rows: unknown[] = await t.db.query(
      'select rate_per_second as rate, slow_factor as factor from send_bucket',
    );
    expect(rows).toEqual([{ rate: 90, factor: 0.5 }]);
  });

  it(
    'keeps what was used today when limits are set anew, and removes what is left out',
    MIDNIGHT,
    async () => {
      await limit({ global: { perDay: 10 }, groups: { yahoo: { perSecond: 1 } } });
      await allow({ [GMAIL]: 8 });
      await limit({ global: { perDay: 20 } });
      expect(await allow({ [GMAIL]: 100 })).toEqual({ [GMAIL]: 8 });
      expect(await t.db.query('select key from send_bucket')).toEqual([{ key: 'global' }]);
    },
  );
});
