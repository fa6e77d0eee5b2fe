import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { LONGEST_PAUSE_SECONDS, type Breaker, type BreakerState } from './breaker.js';
import { afterTaken, NO_PUT_OFFS, withPutOffs, type PutOffs } from './put-offs.js';

export interface RelayStateRow {
  key: string;
  state: BreakerState;
  failures: number;
  openedUntil: Date | null;
  reason: string | null;
  /** The pause is over, or the worker that was to try has not come back. */
  mayProbe: boolean;
  /** The first failed try of those with nothing between them, neither a mail that was taken nor a time without tries. */
  outSince: Date | null;
  triedAt: Date | null;
  putOffs: PutOffs | null;
}

/** A worker that died while it tried a relay must not keep the others from trying. */
const PROBE_LEASE = `clock_timestamp() + interval '90 seconds'`;

/** One that is longer than any is of a clock that was ahead: nothing would be sent until then. */
const PAUSE_IS_OVER = `(opened_until <= clock_timestamp() or opened_until > clock_timestamp() + interval '${LONGEST_PAUSE_SECONDS + 60} seconds')`;

/** Longer than a breaker's longest pause and the try after it. Between tries further apart nobody knows how the relay was. */
export const GAP_MS = 30 * 60_000;

/**
 * The SQL of the breakers: one row for each relay that was ever tried, on the database's clock; its tries on that of the
 * application, as the mails that may expire for them.
 */
@Injectable()
export class RelaysQueries {
  constructor(
    private readonly dataSource: DataSource,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async all(): Promise<RelayStateRow[]> {
    return this.dataSource.query(
      `select key, state, failures, opened_until as "openedUntil", reason, out_since as "outSince", tried_at as "triedAt", put_offs as "putOffs",
         state <> 'closed' and ${PAUSE_IS_OVER} as "mayProbe" from relay_state order by key`,
    );
  }

  /** One worker gets true and sends one mail through the relay; the others go on as if it were open. */
  async takeProbe(key: string): Promise<boolean> {
    const [rows]: [unknown[], number] = await this.dataSource.query(
      `update relay_state set state = 'half_open', opened_until = ${PROBE_LEASE}, updated_at = clock_timestamp()
       where key = $1 and state <> 'closed' and ${PAUSE_IS_OVER} returning key`,
      [key],
    );
    return rows.length === 1;
  }

  /** The probe was not used: whoever asks next may have it. */
  async returnProbe(key: string): Promise<void> {
    await this.dataSource.query(
      `update relay_state set state = 'open', opened_until = clock_timestamp() where key = $1 and state = 'half_open'`,
      [key],
    );
  }

  /** Until then nobody knows whether it works. Another worker may have written it down meanwhile. */
  async tried(key: string): Promise<void> {
    await this.dataSource.query(
      `insert into relay_state (key, updated_at) values ($1, clock_timestamp()) on conflict do nothing`,
      [key],
    );
  }

  /** Notes the try and judges the row under its lock. `change` returns null to leave the breaker as it is. */
  async update(
    key: string,
    reason: string,
    change: (breaker: Breaker) => Breaker | null,
    opened: (manager: EntityManager, pauseSeconds: number) => Promise<void>,
  ): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      await manager.query(
        `insert into relay_state (key, updated_at) values ($1, clock_timestamp()) on conflict do nothing`,
        [key],
      );
      const now = this.clock.now();
      const [rows]: [Breaker[], number] = await manager.query(
        `update relay_state set out_since = case when tried_at >= $3 then least(coalesce(out_since, $2), $2) else $2 end, tried_at = $2
         where key = $1 returning state, failures, pause_seconds as "pauseSeconds"`,
        [key, now, new Date(now.getTime() - GAP_MS)],
      );
      const next = rows[0] === undefined ? null : change(rows[0]);
      if (next === null) return;
      await manager.query(
        `update relay_state set state = $2, failures = $3, reason = $4, pause_seconds = $5, updated_at = clock_timestamp(),
           opened_until = case when $2 = 'open' then clock_timestamp() + $5::int * interval '1 second' end where key = $1`,
        [key, next.state, next.failures, reason, next.pauseSeconds],
      );
      if (next.state === 'open') await opened(manager, next.pauseSeconds);
    });
  }

  /**
   * Runs `then` where each of these relays is out. One that is just being closed by another worker is waited for: else the owner
   * is told after that one has taken the word back.
   */
  async whereAllAreOut(
    keys: readonly string[],
    then: (manager: EntityManager) => Promise<void>,
  ): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      const rows: unknown[] = await manager.query(
        `select 1 from relay_state where key = any($1) and state <> 'closed' order by key for share`,
        [keys],
      );
      if (rows.length === keys.length) await then(manager);
    });
  }

  /** Adds what a worker has seen put off to what all have seen, under the row's lock. Returns that. */
  async addPutOffs(key: string, seen: PutOffs): Promise<PutOffs> {
    return this.dataSource.transaction(async (manager) => {
      const [row]: { putOffs: PutOffs | null }[] = await manager.query(
        `insert into relay_state as r (key, updated_at) values ($1, clock_timestamp())
         on conflict (key) do update set key = r.key returning put_offs as "putOffs"`,
        [key],
      );
      const known = withPutOffs(row?.putOffs ?? NO_PUT_OFFS, seen, this.clock.now().getTime());
      await manager.query('update relay_state set put_offs = $2 where key = $1', [key, known]);
      return known;
    });
  }

  /**
   * The relay works. `taken`: the template of the mail that it took; null when it did no more than judge one. `closed`, when it
   * had been out: in the same transaction, or a crash leaves the owner told of an outage that is over.
   */
  async close(
    key: string,
    taken: string | null,
    closed: (manager: EntityManager) => Promise<void>,
  ): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      const [row]: { state: BreakerState; failures: number; putOffs: PutOffs | null }[] = await manager.query(
        `select state, failures, put_offs as "putOffs" from relay_state where key = $1 for update`,
        [key],
      );
      if (row === undefined) return;
      const known = row.putOffs ?? NO_PUT_OFFS;
      if (row.state === 'closed' && row.failures === 0 && afterTaken(known, taken, false) === known) return;
      // What was put off long ago says nothing of how the relay was when it was tried, nor of the words of those mails.
      const counting = withPutOffs(known, NO_PUT_OFFS, this.clock.now().getTime());
      const left = afterTaken(counting, taken, row.state === 'half_open');
      await manager.query(
        `update relay_state set state = 'closed', failures = 0, opened_until = null, reason = null, out_since = null,
           put_offs = $2, updated_at = clock_timestamp() where key = $1`,
        [key, left],
      );
      if (row.state !== 'closed') await closed(manager);
    });
  }
}
