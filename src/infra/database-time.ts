import type { DataSource } from 'typeorm';
import type { SystemClock } from './clock.js';

const EVERY_MS = 10_000;
/** An answer that took longer says too little about the present. */
const SLOW_MS = 1_000;
const WRONG_MS = 60_000;

/**
 * Makes the database's time that of this process: it is the one clock that all workers share, and leases run by it. A worker
 * whose machine is an hour ahead would send what is due within the hour, and let expire for good what is of use until
 * then; one that only refused to send would let that expire as well. Not in demo mode, where the time is the owner's.
 */
export class DatabaseTime {
  #told = false;
  #known = false;

  constructor(
    private readonly dataSource: DataSource,
    private readonly clock: SystemClock,
    private readonly warn: (line: string) => void,
  ) {}

  /** Rejects when the database does not answer; the time then goes on as it was. */
  async measure(): Promise<void> {
    const askedMs = performance.now();
    const rows: { nowMs: number }[] = await this.dataSource.query(
      `select extract(epoch from clock_timestamp())::float8 * 1000 as "nowMs"`,
    );
    const tookMs = performance.now() - askedMs;
    const [row] = rows;
    if (row === undefined || (this.#known && tookMs > SLOW_MS)) return;
    this.#known = true;
    const nowMs = row.nowMs + tookMs / 2;
    this.clock.follow(nowMs);
    const aheadMs = Date.now() - nowMs;
    const wrong = Math.abs(aheadMs) > WRONG_MS;
    if (wrong && !this.#told)
      this.warn(
        `The clock of this machine is ${Math.round(Math.abs(aheadMs) / 1000)} s ${aheadMs > 0 ? 'ahead of' : 'behind'} the database's. Mails go by the database's time. Set both by NTP.`,
      );
    this.#told = wrong;
  }

  /** Measures again and again until the returned function is called. */
  keep(): () => Promise<void> {
    const timer = setInterval(() => void this.measure().catch(() => undefined), EVERY_MS).unref();
    return async () => clearInterval(timer);
  }
}
