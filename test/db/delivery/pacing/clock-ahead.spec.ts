import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AcceptedJournal } from '../../../../src/delivery/ledger/accepted-journal.service.js';
import { FrequencyCapService } from '../../../../src/delivery/pacing/frequency-cap.service.js';
import { PacingService } from '../../../../src/delivery/pacing/pacing.service.js';
import { SendingService } from '../../../../src/delivery/pacing/sending.service.js';
import { SendingSettingsService } from '../../../../src/delivery/pacing/sending-settings.service.js';
import { sendingSettings } from '../../../../src/delivery/pacing/sending.schemas.js';
import { ParkedLanes } from '../../../../src/delivery/relays/parked-lanes.service.js';
import { Reaper } from '../../../../src/delivery/sending/reaper.service.js';
import { openPostOffice, type PostOffice } from '../post-office.js';

const QUEUE = 'example.com|gmail';
/** Days are those of the database's clock: what midnight falls into is done once more. */
const MIDNIGHT = { retry: 1 };

/** What was written while the clock was thirty days ahead, and stands there when it is put right. */
describe('after a moment in which the clock of the database was thirty days ahead', () => {
  let t: PostOffice;
  let relay: string;
  beforeEach(async () => {
    t = await openPostOffice();
    relay = new URL(t.config.smtpUrl ?? '').hostname;
  });
  afterEach(async () => t.close());

  const get = <T>(type: new (...args: never[]) => T): T => t.app.get<T>(type, { strict: false });
  const limit = async (settings: unknown): Promise<void> =>
    get(SendingSettingsService).replace(sendingSettings.parse(settings));
  const allow = async (ready: number): Promise<number> =>
    (await get(PacingService).allow([{ queueKey: QUEUE, priority: 5, due: ready }], 1_000)).granted.get(
      QUEUE,
    ) ?? 0;
  const ahead = async (table: string, ...columns: string[]): Promise<unknown> =>
    t.db.query(
      `update ${table} set ${columns.map((name) => `${name} = ${name} + interval '30 days'`).join()}`,
    );
  const reaper = (): Reaper =>
    new Reaper(t.db, t.ledger, get(AcceptedJournal), get(ParkedLanes), get(FrequencyCapService), t.clock);
  const leftDays = async (column: string): Promise<number> => {
    const rows: { days: number }[] = await t.db.query(
      `select extract(epoch from ${column} - clock_timestamp())::float8 / 86400 as days from message`,
    );
    return rows[0]?.days ?? 0;
  };

  it(
    'the day of a quota is today, with what has gone on it: it stood still for 29 days',
    MIDNIGHT,
    async () => {
      await limit({ global: { perDay: 100 } });
      expect(await allow(10)).toBe(10);
      await ahead('send_bucket', 'quota_day', 'refilled_at');
      expect(await allow(500)).toBe(70);
      expect(await allow(500)).toBe(0);
      await t.db.query('update send_bucket set quota_day = quota_day - 1');
      expect(await allow(500)).toBe(80);
    },
  );

  it('a warm-up goes on with the quota of its own day', MIDNIGHT, async () => {
    const startedOn = new Date(Date.now() - 5 * 86_400_000).toISOString().slice(0, 10);
    await limit({ senders: { 'example.com': { warmUp: { startedOn } } } });
    expect(await allow(10)).toBe(10);
    await ahead('send_bucket', 'quota_day', 'refilled_at');
    expect(await allow(500)).toBe(90);
  });

  it.each(['open', 'half_open'])('a relay that was left alone (%s) is tried at once', async (state) => {
    await t.db.query(
      `insert into relay_state (key, state, failures, pause_seconds, opened_until, updated_at)
       values ($1, $2, 3, 5, clock_timestamp() + interval '30 days', clock_timestamp())`,
      [relay, state],
    );
    await t.plan('reader@example.org');
    expect(await t.sendDue()).toBe(1);
  });

  it('a pause of a relay that is as long as any is kept', async () => {
    await t.db.query(
      `insert into relay_state (key, state, failures, pause_seconds, opened_until, updated_at)
       values ($1, 'open', 3, 900, clock_timestamp() + interval '15 minutes', clock_timestamp())`,
      [relay],
    );
    await t.plan('reader@example.org');
    expect(await t.sendDue()).toBe(0);
  });

  it('a receiver that asks for less gets less', async () => {
    await t.db.query(
      `insert into send_bucket (key, rate_per_second, tokens, refilled_at, slow_factor, slowed_at, updated_at)
       values ('lane:${QUEUE}', 10, 0, clock_timestamp(), 0.9, clock_timestamp() + interval '30 days', clock_timestamp())`,
    );
    for (let refused = 0; refused < 3; refused++) await get(PacingService).slowDown(QUEUE, 421);
    expect(
      await t.db.query('select rate_per_second as rate, slow_factor as factor from send_bucket'),
    ).toEqual([{ rate: 9, factor: 0.5 }]);
  });

  it('a queue that was slowed down recovers: a process that had seen it do so then, left it slow', async () => {
    await t.db.query(
      `insert into send_bucket (key, rate_per_second, tokens, refilled_at, slow_factor, updated_at)
       values ('lane:${QUEUE}', 10, 0, clock_timestamp(), 0.5, clock_timestamp())`,
    );
    const pacing = get(PacingService);
    await pacing.waitMs([{ queueKey: QUEUE, priority: 5 }]);
    const sped = async (): Promise<number | undefined> => {
      await t.db.query(`update send_bucket set updated_at = clock_timestamp() - interval '10 seconds'`);
      await pacing.sped(QUEUE, 1);
      return (await pacing.buckets())[0]?.slowFactor;
    };
    const now = t.clock.now();
    t.clock.advance(30 * 86_400_000);
    expect(await sped()).toBeCloseTo(0.7);
    t.clock.set(now);
    expect(await sped()).toBeCloseTo(0.9);
  });

  it('the mail of a worker that died is taken up when its lease has run its usual time', async () => {
    const id = await t.plan('reader@example.org');
    await t.claim('dead', 1);
    await ahead('message', 'lease_until');
    await reaper().run();
    expect(await leftDays('lease_until')).toBeLessThan(1);
    expect((await t.state(id))['state']).toBe('leased');
    await t.db.query(`update message set lease_until = lease_until - interval '1 hour'`);
    await reaper().run();
    expect((await t.state(id))['state']).toBe('ready');
  });

  it('so is one whose body was under way, and its worker may still say what became of it', async () => {
    await reaper().run();
    const id = await t.plan('reader@example.org');
    const { messages } = await t.claim('dead', 1);
    await t.ledger.write([], [{ id, epoch: messages[0]?.epoch ?? 0 }]);
    await ahead('message', 'lease_until', 'data_at');
    await reaper().run();
    expect((await t.state(id))['state']).toBe('leased');
    await t.db.query(
      `update message set lease_until = lease_until - interval '1 hour', data_at = data_at - interval '1 hour'`,
    );
    await reaper().run();
    expect((await t.state(id))['state']).toBe('unknown');
  });

  it('and although the database was just back at that moment', async () => {
    const id = await t.plan('reader@example.org');
    await reaper().run();
    await t.db.query(
      `update setting set updated_at = updated_at + interval '30 days',
         value = jsonb_build_object('backAt', clock_timestamp() + interval '30 days') where key = 'delivery.reaper'`,
    );
    const { messages } = await t.claim('dead', 1);
    await t.ledger.write([], [{ id, epoch: messages[0]?.epoch ?? 0 }]);
    await t.db.query(
      `update message set lease_until = lease_until - interval '1 hour', data_at = data_at - interval '1 hour'`,
    );
    await reaper().run();
    expect((await t.state(id))['state']).toBe('unknown');
  });

  it('a reader who had their mail of the day then gets that of today', async () => {
    await get(FrequencyCapService).set({ perDay: 1, perWeek: null });
    await t.plan('reader@example.org');
    expect(await t.sendDue()).toBe(1);
    await ahead('message', 'accepted_at', 'data_at');
    const [reader]: { id: string }[] = await t.db.query('select id from subscriber');
    await t.plan('again@example.org', { subscriberId: reader?.id ?? '', dedupeKey: 'again' });
    expect(await t.sendDue()).toBe(1);
  });

  it('an estimate does not go by what was taken then', async () => {
    const id = await t.plan('reader@example.org');
    await t.db.query(
      `insert into message_attempt (message_id, epoch, started_at, finished_at, stage, outcome)
       select $1, n, now(), clock_timestamp() + interval '30 days', 'done', 'accepted' from generate_series(1, 50) n`,
      [id],
    );
    expect(await get(SendingService).estimate(null)).toMatchObject({ remaining: 1, completesAt: null });
  });

  it('a relay that is out is out since now, and not since then', async () => {
    await t.db.query(
      `insert into relay_state (key, state, failures, pause_seconds, updated_at, out_since, tried_at)
       values ($1, 'closed', 1, 0, clock_timestamp(), $2, $2)`,
      [relay, new Date(t.clock.now().getTime() + 30 * 86_400_000)],
    );
    t.sink.onConnect = async () => 421;
    await t.plan('reader@example.org');
    await t.sendDue();
    const [row]: { since: Date }[] = await t.db.query('select out_since as since from relay_state');
    expect(row?.since.getTime()).toBeLessThanOrEqual(t.clock.now().getTime());
  });

  describe('mails that were planned then', () => {
    /** As the last look of a worker before the clock is put back. */
    const lookAhead = async (): Promise<void> => {
      await reaper().run();
      await t.db.query(
        `update setting set updated_at = updated_at + interval '30 days' where key = 'delivery.reaper'`,
      );
    };
    const now = (): Date => t.clock.now();
    const back = async (): Promise<void> => {
      t.clock.advance(-30 * 86_400_000);
      await reaper().run();
    };

    it('to go at once go now: a confirmation waited for thirty days', async () => {
      t.clock.advance(30 * 86_400_000);
      await t.plan('reader@example.org', { class: 'transactional' });
      const later = await t.plan('hour@example.org', {
        dueAt: new Date(now().getTime() + 3 * 3_600_000),
      });
      await lookAhead();
      await back();
      expect(await t.sendDue()).toBe(1);
      // It has an hour of its own.
      expect(await t.state(later)).toMatchObject({ state: 'ready' });
      expect((await t.state(later))['dueAt']).toEqual(new Date(now().getTime() + 30.125 * 86_400_000));
    });

    it.each([
      ['after a try', `update message_attempt set finished_at = finished_at + interval '30 days'`],
      ['until their hours', `update message set state_reason = 'outside the send window', attempt = 0`],
    ])('or were put off %s, go now', async (_, change) => {
      const id = await t.plan('reader@example.org');
      t.sink.onBody = async () => Promise.resolve(451);
      expect(await t.sendDue()).toBe(0);
      expect(await t.state(id)).toMatchObject({ state: 'ready', attempt: 1 });
      t.sink.onBody = async () => Promise.resolve(undefined);
      await t.db.query(`${change}; update message set due_at = due_at + interval '30 days'`);
      await lookAhead();
      await reaper().run();
      expect(await t.sendDue()).toBe(1);
    });

    it('stay as they are where no clock was put back', async () => {
      t.clock.advance(30 * 86_400_000);
      await t.plan('reader@example.org');
      await reaper().run();
      t.clock.advance(-30 * 86_400_000);
      await reaper().run();
      expect(await t.sendDue()).toBe(0);
    });
  });
});
