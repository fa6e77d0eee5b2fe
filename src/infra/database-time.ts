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
  #wrong: string | null = null;
  #known = false;

  constructor(
    private readonly dataSource: DataSource,
    private readonly clock: SystemClock,
    private readonly warn: (line: string) => void,
  ) {}

  /** Rejects when the database does not answer; the time then goes on as it was. */
  async measure(): Promise<void> {
    let answer = await this.ask();
    // The first one has to count, however slow: there is none before it. A second is rarely as slow.
    if (!this.#known && answer.tookMs > SLOW_MS) answer = await this.ask();
    const { nowMs, tookMs } = answer;
    if (this.#known && tookMs > SLOW_MS) return;
    this.#known = true;
    this.clock.follow(nowMs);
    const aheadMs = Date.now() - nowMs;
    const before = this.#wrong;
    this.#wrong = Math.abs(aheadMs) > WRONG_MS ? wrongBy(aheadMs) : null;
    if (this.#wrong !== null && before === null) this.warn(this.#wrong);
  }

  /**
   * Measures again and again until the returned function is called. `tell` hears what is wrong each time, and once that
   * nothing is; it may reject, and then hears it again.
   */
  keep(tell: (wrong: string | null) => Promise<void>): () => Promise<void> {
    let told: string | null | undefined;
    let isUnderWay = false;
    const look = async (): Promise<void> => {
      // While the database hangs, each one more would take a connection that others need.
      if (isUnderWay) return;
      isUnderWay = true;
      try {
        await this.measure();
        if (this.#wrong !== null || told !== null) await tell(this.#wrong);
        told = this.#wrong;
      } finally {
        isUnderWay = false;
      }
    };
    const timer = setInterval(() => void look().catch(() => undefined), EVERY_MS).unref();
    return async () => clearInterval(timer);
  }

  private async ask(): Promise<{ nowMs: number; tookMs: number }> {
    const askedMs = performance.now();
    const [row]: { nowMs: number }[] = await this.dataSource.query(
      `select extract(epoch from clock_timestamp())::float8 * 1000 as "nowMs"`,
    );
    if (row === undefined) throw new Error('the database did not answer');
    const tookMs = performance.now() - askedMs;
    return { nowMs: row.nowMs + tookMs / 2, tookMs };
  }
}

function wrongBy(aheadMs: number): string {
  const seconds = Math.round(Math.abs(aheadMs) / 1000);
  return `The clock of this machine is ${seconds} s ${aheadMs > 0 ? 'ahead of' : 'behind'} the database's. Mails go by the database's time. Set both by NTP.`;
}
