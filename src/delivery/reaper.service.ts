import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { AcceptedJournal } from './accepted-journal.service.js';
import { LedgerQueries } from './ledger.queries.js';
import { ParkedLanes } from './parked-lanes.service.js';

/** Two looks were missed: the database was away, or this process stood still. */
const AWAY_MS = 75_000;
/** Workers that wait for the database to write down an end try it every five seconds at least. */
const WRITTEN_WITHIN_MS = 15_000;

/**
 * Takes up what workers left behind that died. While the database is away, leases run out of workers that live and hold the
 * replies of their relays: when it is back, they come first. Else a receipt that was accepted would be sent again.
 */
@Injectable()
export class Reaper {
  #lookedAtMs: number | null = null;
  #sparesUntilMs = 0;

  constructor(
    private readonly dataSource: DataSource,
    private readonly ledger: LedgerQueries,
    private readonly journal: AcceptedJournal,
    private readonly parked: ParkedLanes,
  ) {}

  async run(): Promise<void> {
    const { atMs, serverStartedAtMs } = await this.look();
    if (this.#lookedAtMs !== null && atMs - this.#lookedAtMs > AWAY_MS)
      this.#sparesUntilMs = atMs + WRITTEN_WITHIN_MS;
    this.#lookedAtMs = atMs;
    await this.journal.replay();
    // A process that stood still for minutes is still waiting for its slow relays: their mails are not left behind,
    // and nobody's are taken while it cannot say so.
    await this.parked.renew();
    const sparesUntilMs = Math.max(this.#sparesUntilMs, serverStartedAtMs + WRITTEN_WITHIN_MS);
    await this.ledger.reap({ begun: atMs >= sparesUntilMs });
    await this.ledger.resolveUnknown();
  }

  /** By the database's clock, which goes on while a process stands still. */
  private async look(): Promise<{ atMs: number; serverStartedAtMs: number }> {
    const [row]: { atMs: number; serverStartedAtMs: number }[] = await this.dataSource.query(
      `select extract(epoch from clock_timestamp())::float8 * 1000 as "atMs",
         extract(epoch from pg_postmaster_start_time())::float8 * 1000 as "serverStartedAtMs"`,
    );
    if (row === undefined) throw new Error('the database did not answer');
    return row;
  }
}
