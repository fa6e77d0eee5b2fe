import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { Breaker, BreakerState } from './breaker.js';

export interface RelayStateRow {
  key: string;
  state: BreakerState;
  failures: number;
  openedUntil: Date | null;
  reason: string | null;
  /** The pause is over, or the worker that was to try has not come back. */
  mayProbe: boolean;
}

/** A worker that died while it tried a relay must not keep the others from trying. */
const PROBE_LEASE = `clock_timestamp() + interval '90 seconds'`;

/** The SQL of the breakers: one row for each relay that has ever failed, on the database's clock. */
@Injectable()
export class RelaysQueries {
  constructor(private readonly dataSource: DataSource) {}

  async all(): Promise<RelayStateRow[]> {
    return this.dataSource.query(
      `select key, state, failures, opened_until as "openedUntil", reason,
         state <> 'closed' and opened_until <= clock_timestamp() as "mayProbe" from relay_state order by key`,
    );
  }

  /** One worker gets true and sends one mail through the relay; the others go on as if it were open. */
  async takeProbe(key: string): Promise<boolean> {
    const [rows]: [unknown[], number] = await this.dataSource.query(
      `update relay_state set state = 'half_open', opened_until = ${PROBE_LEASE}, updated_at = clock_timestamp()
       where key = $1 and state <> 'closed' and opened_until <= clock_timestamp() returning key`,
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

  /** Judges the row under its lock. `change` returns null to leave it as it is. */
  async update(
    key: string,
    reason: string,
    change: (breaker: Breaker) => (Breaker & { pauseSeconds: number }) | null,
    opened: (manager: EntityManager, pauseSeconds: number) => Promise<void>,
  ): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      await manager.query(
        `insert into relay_state (key, updated_at) values ($1, clock_timestamp()) on conflict do nothing`,
        [key],
      );
      const rows: Breaker[] = await manager.query(
        'select state, failures from relay_state where key = $1 for update',
        [key],
      );
      const next = rows[0] === undefined ? null : change(rows[0]);
      if (next === null) return;
      await manager.query(
        `update relay_state set state = $2, failures = $3, reason = $4, updated_at = clock_timestamp(),
           opened_until = case when $2 = 'open' then clock_timestamp() + $5 * interval '1 second' end where key = $1`,
        [key, next.state, next.failures, reason, next.pauseSeconds],
      );
      if (next.state === 'open') await opened(manager, next.pauseSeconds);
    });
  }

  /** Returns whether the relay had been out. */
  async close(key: string): Promise<boolean> {
    const [rows]: [{ wasOut: boolean }[], number] = await this.dataSource.query(
      `update relay_state r set state = 'closed', failures = 0, opened_until = null, reason = null, updated_at = clock_timestamp()
       from (select key, state from relay_state where key = $1 for update) old
       where r.key = old.key and (r.state <> 'closed' or r.failures > 0) returning old.state <> 'closed' as "wasOut"`,
      [key],
    );
    return rows[0]?.wasOut ?? false;
  }
}
