import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { AcceptedJournal } from '../ledger/accepted-journal.service.js';
import { dueNowAfterClockAhead } from '../ledger/clock-ahead.queries.js';
import { LedgerQueries } from '../ledger/ledger.queries.js';
import { acceptProven } from '../ledger/message-evidence.queries.js';
import { FrequencyCapService } from '../pacing/frequency-cap.service.js';
import { ParkedLanes, RENEW_EVERY_MS } from '../relays/parked-lanes.service.js';

const KEY = 'delivery.reaper';
/** Two looks were missed, of all workers together: the database was away, or no worker ran. */
const AWAY_MS = 75_000;
/**
 * Workers that wait for the database to write down an end try it every five seconds at least; those that wait for a slow
 * relay say so at their next renewal, and a statement takes its time on a database that is just back.
 */
const WRITTEN_WITHIN_MS = RENEW_EVERY_MS + 15_000;

/**
 * Takes up what workers left behind that died. While the database is away, leases run out of workers that live and hold the
 * replies of their relays: when it is back, they come first. Else a receipt that was accepted would be sent again. Also what
 * waits for a cap that lets more through by now.
 */
@Injectable()
export class Reaper {
  constructor(
    private readonly dataSource: DataSource,
    private readonly ledger: LedgerQueries,
    private readonly journal: AcceptedJournal,
    private readonly parked: ParkedLanes,
    private readonly caps: FrequencyCapService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async run(): Promise<void> {
    // Before the look that forgets it.
    if (await this.wasClockAhead()) await dueNowAfterClockAhead(this.dataSource.manager, this.clock.now());
    const begun = !(await this.isJustBack());
    await this.journal.replay();
    // A process that stood still for minutes is still waiting for its slow relays: their mails are not left behind,
    // and nobody's are taken while it cannot say so.
    await this.parked.renew();
    await this.ledger.reap({ now: this.clock.now(), begun });
    await acceptProven(this.dataSource.manager);
    await this.caps.lookAgain();
  }

  /** Whether the last look of any worker is still to come, by the database's clock: that has been put back since. */
  private async wasClockAhead(): Promise<boolean> {
    const rows: unknown[] = await this.dataSource.query(
      `select 1 from setting where key = $1 and updated_at > clock_timestamp() + interval '1 minute'`,
      [KEY],
    );
    return rows.length > 0;
  }

  /**
   * Whether the database was away until a moment ago. The looks of all workers are one row, as each round is of one of them
   * and one that was just started must know, too; by the database's clock, which goes on while a process stands still. A
   * ledger that nobody has looked at yet, with bodies under way, was left by an earlier version. Spares once in a row only:
   * rounds that take minutes must not keep what the dead left behind waiting for ever. Called once a round; locks its row
   * for this statement.
   */
  private async isJustBack(): Promise<boolean> {
    const [row]: { sinceMs: number | null }[] = await this.dataSource.query(
      `insert into setting as s (key, value, updated_at)
       values ($1, jsonb_build_object('backAt',
         case when exists (select 1 from message where state = 'leased' and data_at is not null) then clock_timestamp() end),
         clock_timestamp())
       on conflict (key) do update set updated_at = excluded.updated_at,
         value = case when excluded.updated_at > s.updated_at + $2 * interval '1 millisecond'
             and (s.updated_at < (s.value->>'backAt')::timestamptz + $3 * interval '1 millisecond') is not true
           then jsonb_build_object('backAt', excluded.updated_at) else s.value end
       returning extract(epoch from updated_at - (value->>'backAt')::timestamptz)::float8 * 1000 as "sinceMs"`,
      [KEY, AWAY_MS, WRITTEN_WITHIN_MS],
    );
    if (row === undefined) throw new Error('the database did not answer');
    // What is to come is of a clock that was ahead: until then nothing that the dead left behind would be taken up.
    return row.sinceMs !== null && Math.abs(row.sinceMs) < WRITTEN_WITHIN_MS;
  }
}
