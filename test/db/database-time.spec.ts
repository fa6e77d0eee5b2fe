import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Pool } from 'pg';
import type { DataSource } from 'typeorm';
import { SystemClock } from '../../src/infra/clock.js';
import { DatabaseTime } from '../../src/infra/database-time.js';
import { pgPool } from '../../src/infra/database/pg-pool.js';
import { openDataSource } from '../../src/infra/database/migrate.js';
import { createTestDatabase } from '../support/database.js';

const HOUR_MS = 3_600_000;

describe('a machine whose clock is wrong', () => {
  let db: DataSource;
  let drop: () => Promise<void>;
  let clock: SystemClock;
  let time: DatabaseTime;
  let said: string[];
  beforeEach(async () => {
    const database = await createTestDatabase();
    db = await openDataSource(database.url);
    drop = async () => database.drop();
    clock = new SystemClock();
    said = [];
    time = new DatabaseTime(db, clock, (line) => said.push(line));
  });
  afterEach(async () => {
    vi.useRealTimers();
    await db.destroy();
    await drop();
  });

  /** Of the machine; the process's steady counter goes on, as it does when somebody sets the clock. */
  const setAhead = (ms: number): void => {
    const now = Date.now();
    vi.useFakeTimers({ toFake: ['Date'] });
    vi.setSystemTime(now + ms);
  };
  /** By the clock that the mails go by, in whole hours: a slow test machine takes minutes at most. */
  const hoursAhead = async (): Promise<number> => {
    const rows: { nowMs: number }[] = await db.query(
      'select extract(epoch from clock_timestamp())::float8 * 1000 as "nowMs"',
    );
    return Math.round((clock.now().getTime() - (rows[0]?.nowMs ?? 0)) / HOUR_MS) + 0;
  };

  it.each([25, 1, -1])(
    'goes by the database’s time when it is %i hours ahead, and says so once',
    async (hours) => {
      setAhead(hours * HOUR_MS);
      expect(await hoursAhead()).toBe(hours);
      for (let n = 0; n < 3; n++) await time.measure();
      expect(await hoursAhead()).toBe(0);
      expect(said).toEqual([expect.stringContaining(hours > 0 ? 'ahead of' : 'behind')]);
    },
  );

  it('does not follow it when it jumps between two measurements', async () => {
    await time.measure();
    setAhead(HOUR_MS);
    expect(await hoursAhead()).toBe(0);
    expect(said).toEqual([]);
  });

  /** As while the database hangs: whoever asks it waits for a connection. */
  const hanging = async (work: (pool: Pool) => Promise<void>): Promise<void> => {
    const pool = pgPool(db);
    const taken = await Promise.all(Array.from({ length: pool.options.max }, async () => pool.connect()));
    try {
      await work(pool);
    } finally {
      for (const one of taken) one.release();
    }
  };

  it('asks a database that hangs no second time while the first question waits', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const stop = time.keep(async () => undefined);
    try {
      await hanging(async (pool) => {
        vi.advanceTimersByTime(60_000);
        // The question is asked by then.
        await new Promise(setImmediate);
        expect(pool.waitingCount).toBe(1);
      });
    } finally {
      await stop();
    }
  });

  it('asks once more when the database took hours to answer its first question', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    let first = Promise.resolve();
    await hanging(async () => {
      first = time.measure();
      vi.advanceTimersByTime(4 * HOUR_MS);
    });
    await first;
    expect(await hoursAhead()).toBe(0);
  });

  it('tells the owner while it is wrong, and once that it is right again', async () => {
    const told: (string | null)[] = [];
    const now = Date.now();
    vi.useFakeTimers({ toFake: ['Date', 'setInterval', 'clearInterval'] });
    const stop = time.keep(async (wrong) => void told.push(wrong));
    const looks = async (atMs: number, count: number): Promise<void> => {
      vi.setSystemTime(atMs);
      vi.advanceTimersByTime(10_000);
      await vi.waitUntil(() => told.length === count, { timeout: 25_000 });
    };
    try {
      await looks(now + HOUR_MS, 1);
      await looks(now + HOUR_MS, 2);
      await looks(now, 3);
    } finally {
      await stop();
    }
    const wrong = expect.stringContaining('ahead of');
    expect(told).toEqual([wrong, wrong, null]);
  });
});
