import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { DataSource } from 'typeorm';
import { SystemClock } from '../../src/infra/clock.js';
import { DatabaseTime } from '../../src/infra/database-time.js';
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
});
