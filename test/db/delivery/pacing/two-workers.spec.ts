import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openSmtpSink, type SmtpSink } from '../../../support/smtp-sink.js';
import { openPostOffice, type PostOffice } from '../post-office.js';
import { passSeconds } from './pacing-app.js';

const QUEUE = 'lane:example.com|gmail';

interface Pace {
  key: string;
  rate: number;
  factor: number;
}

describe('two workers on one database, and a relay that asks for patience', () => {
  let relay: SmtpSink;
  let one: PostOffice;
  let other: PostOffice;
  beforeEach(async () => {
    relay = await openSmtpSink();
    const SMTP_URL = `${relay.url}?lanes=8`;
    one = await openPostOffice({ SMTP_URL });
    other = await openPostOffice({ SMTP_URL }, undefined, async () => one.config.databaseUrl);
  });
  afterEach(async () => {
    await other.close();
    await one.close();
    await relay.close();
  });

  const plan = async (count: number, name: string): Promise<void> => {
    for (let n = 0; n < count; n++) await one.plan(`${name}${n}@gmail.com`);
  };
  const paces = async (): Promise<Pace[]> =>
    one.db.query('select key, rate_per_second as rate, slow_factor as factor from send_bucket');
  const leased = async (): Promise<number> => {
    const [row]: { count: number }[] = await one.db.query(
      `select count(*)::int as count from message where state = 'leased'`,
    );
    return row?.count ?? 0;
  };
  /** Half of what it bore, asked for just now. */
  const slowTo = async (perSecond: number): Promise<void> => {
    await one.db.query(
      `insert into send_bucket (key, rate_per_second, tokens, refilled_at, slow_factor, slowed_at, updated_at)
       values ($1, $2, 0, clock_timestamp(), 0.5, clock_timestamp(), clock_timestamp())`,
      [QUEUE, 2 * perSecond],
    );
  };

  it.each([
    [421, 0.5],
    [451, 0.7],
  ])('are slowed down once by its %i to both, from the pace of both together', async (code, factor) => {
    for (const [worker, name] of [
      [one, 'first'],
      [other, 'second'],
    ] as const) {
      await plan(20, name);
      expect(await worker.sendDue()).toBe(20);
    }
    let answer = (): void => undefined;
    const claimed = new Promise<void>((resolve) => (answer = resolve));
    let go = (): void => undefined;
    const slowed = new Promise<void>((resolve) => (go = resolve));
    const refused = { mine: 0, theirs: 0 };
    relay.onRecipient = async (address) => {
      await claimed;
      if (refused[address.startsWith('mine') ? 'mine' : 'theirs']++ < 3)
        return { code, text: '4.7.1 too many messages, try again later' };
      await slowed;
      return undefined;
    };
    await plan(20, 'mine');
    const sending = [one.sendDue()];
    await expect.poll(leased).toBe(20);
    await plan(20, 'theirs');
    sending.push(other.sendDue());
    await expect.poll(leased).toBe(40);
    answer();
    await expect.poll(async () => (await paces()).length).toBe(1);
    expect(await paces()).toEqual([{ key: QUEUE, rate: 40, factor }]);
    go();
    expect(await Promise.all(sending)).toEqual([17, 17]);
    const [pace] = await paces();
    expect(pace?.rate).toBe(40);
    // By then it has grown a little, as the others were taken.
    expect(pace?.factor).toBeGreaterThanOrEqual(factor);
    expect(pace?.factor).toBeLessThan(factor + 0.1);
  });

  it('go by what one of them has learnt, both together', async () => {
    await plan(60, 'reader');
    await slowTo(20);
    const begunMs = performance.now();
    const [mine, theirs] = await Promise.all([one.sendDue(), other.sendDue()]);
    const seconds = (performance.now() - begunMs) / 1_000;
    expect([mine + theirs, relay.mails.length]).toEqual([60, 60]);
    expect(Math.min(mine, theirs)).toBeGreaterThan(0);
    // By half a second's worth it may be ahead; each by itself would have been through in half of the time.
    expect(seconds).toBeGreaterThan(60 / 20 - 0.5);
  });

  it('go faster again by the time that passes, not by how many they are', async () => {
    await slowTo(20);
    const begunMs = performance.now();
    for (let second = 0; second < 5; second++) {
      await passSeconds(one.db, 1);
      for (const worker of [one, other]) {
        worker.clock.advance(1_000);
        await plan(1, `reader${second}.${worker === one ? 'mine' : 'theirs'}`);
        expect(await worker.sendDue()).toBe(1);
      }
    }
    const seconds = 5 + (performance.now() - begunMs) / 1_000;
    const [pace] = await paces();
    expect(pace?.factor).toBeGreaterThanOrEqual(0.5 + 0.02 * 5);
    expect(pace?.factor).toBeLessThan(0.5 + 0.02 * (seconds + 0.1));
  });
});
