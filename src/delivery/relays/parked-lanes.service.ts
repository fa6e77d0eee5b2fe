import { Injectable, Logger } from '@nestjs/common';
import { LedgerQueries, type Claim } from '../ledger/ledger.queries.js';

/** A lease lasts five minutes, so that a database that is away for a while costs none. */
export const RENEW_EVERY_MS = 30_000;

/**
 * Lanes whose relay has had a mail for half a minute and not said that it takes it. They are out of the run that opened
 * them, which ends without them, and each waits for its reply alone, for ten minutes at most. Of this process.
 */
@Injectable()
export class ParkedLanes {
  readonly #logger = new Logger(ParkedLanes.name);
  readonly #parked = new Set<{ relay: string; claim: Claim; ended: Promise<void> }>();
  readonly #whenFreed = new Set<() => void>();
  #renewing: NodeJS.Timeout | undefined;

  constructor(private readonly ledger: LedgerQueries) {}

  count(relay: string): number {
    let count = 0;
    for (const parked of this.#parked) if (parked.relay === relay) count++;
    return count;
  }

  /** `ended`: its reply has come or will not come, and the ledger knows. Its lease is kept until then. */
  add(relay: string, claim: Claim, ended: Promise<void>): void {
    const parked = { relay, claim, ended };
    this.#parked.add(parked);
    this.#renewing ??= setInterval(() => void this.tryToRenew(), RENEW_EVERY_MS).unref();
    const freed = (): void => {
      this.#parked.delete(parked);
      if (this.#parked.size === 0) clearInterval(this.#renewing);
      if (this.#parked.size === 0) this.#renewing = undefined;
      for (const tell of this.#whenFreed) tell();
    };
    ended.then(freed, (error: unknown) => {
      this.#logger.error(error instanceof Error ? error.message : String(error));
      freed();
    });
  }

  /** `tell` is called whenever one has ended, until the returned function is. */
  whenFreed(tell: () => void): () => void {
    this.#whenFreed.add(tell);
    return () => this.#whenFreed.delete(tell);
  }

  /** The leases of all that are parked. */
  async renew(): Promise<void> {
    await this.ledger.renew([...this.#parked].map(({ claim }) => claim));
  }

  /** Never rejects: the next time comes well before the leases are over. */
  private async tryToRenew(): Promise<void> {
    await this.renew().catch((error: unknown) => {
      this.#logger.warn(`leases were not renewed: ${error instanceof Error ? error.message : String(error)}`);
    });
  }

  /** What has not ended by then is as unclear as after a crash. */
  async allEnded(withinMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, Math.max(0, withinMs))));
    await Promise.race([late, Promise.allSettled([...this.#parked].map(({ ended }) => ended))]);
    clearTimeout(timer);
  }
}
