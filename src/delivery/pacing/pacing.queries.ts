import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { Bucket } from './token-bucket.js';

const BUCKET = `select key, rate_per_second as "ratePerSecond", burst, tokens,
  (extract(epoch from refilled_at) * 1000)::float8 as "refilledAtMs", daily_quota::float8 as "dailyQuota",
  to_char(quota_day, 'YYYY-MM-DD') as "quotaDay", used_today::float8 as "usedToday", slow_factor as "slowFactor",
  to_char(ramp_started_on, 'YYYY-MM-DD') as "rampStartedOn", ramp_days_used as "rampDaysUsed", (extract(epoch from slowed_at) * 1000)::float8 as "slowedAtMs",
  (extract(epoch from updated_at) * 1000)::float8 as "updatedAtMs",
  (extract(epoch from clock_timestamp()) * 1000)::float8 as "nowMs" from send_bucket`;

export interface BucketRow extends Bucket {
  slowedAtMs: number | null;
  updatedAtMs: number;
  /** The database's clock as the row was read. */
  nowMs: number;
}

/** The SQL of the buckets. Rows are always locked in the order of their keys, so that no two workers wait for each other. */
@Injectable()
export class PacingQueries {
  constructor(private readonly dataSource: DataSource) {}

  /** A handful of rows: one for each limit and each queue that was slowed down. */
  async keys(): Promise<{ key: string; ofDay: boolean }[]> {
    return this.dataSource.query(
      'select key, daily_quota is not null or ramp_started_on is not null as "ofDay" from send_bucket',
    );
  }

  async all(manager: EntityManager = this.dataSource.manager): Promise<BucketRow[]> {
    return manager.query(`${BUCKET} order by key`);
  }

  async read(keys: readonly string[]): Promise<BucketRow[]> {
    return this.dataSource.query(`${BUCKET} where key = any($1) order by key`, [keys]);
  }

  /**
   * Runs `change` on the rows that exist of `keys` and writes back what it returns, in one transaction. The rows are
   * locked for as long as that takes, well under a millisecond of the database's time.
   */
  async update<T>(
    keys: readonly string[],
    change: (rows: BucketRow[]) => { result: T; buckets: readonly Bucket[] },
  ): Promise<T> {
    return this.dataSource.transaction(async (manager) => {
      const rows: BucketRow[] = await manager.query(`${BUCKET} where key = any($1) order by key for update`, [
        keys,
      ]);
      const { result, buckets } = change(rows);
      if (buckets.length > 0) await this.write(manager, buckets);
      return result;
    });
  }

  private async write(manager: EntityManager, buckets: readonly Bucket[]): Promise<void> {
    await manager.query(
      `update send_bucket b set tokens = u.tokens, refilled_at = to_timestamp(u."refilledAtMs" / 1000),
         quota_day = u."quotaDay", used_today = u."usedToday", ramp_days_used = u."rampDaysUsed"
       from jsonb_to_recordset($1::jsonb) as u (key text, tokens float8, "refilledAtMs" float8, "quotaDay" date, "usedToday" bigint, "rampDaysUsed" int)
       where b.key = u.key`,
      [
        JSON.stringify(
          buckets.map(({ key, tokens, refilledAtMs, quotaDay, usedToday, rampDaysUsed }) => ({
            key,
            tokens,
            refilledAtMs,
            quotaDay,
            usedToday,
            rampDaysUsed,
          })),
        ),
      ],
    );
  }

  /**
   * How many processes send in the queue at this moment, at least one: each claim has an owner of its own, which begins with
   * its process. Asked once for each storm. Served by `message_lease`.
   */
  async workersIn(queueKey: string): Promise<number> {
    const rows: { count: number }[] = await this.dataSource.query(
      `select count(distinct split_part(lease_owner, '/', 1))::int as count from message where state = 'leased' and lane_key = $1`,
      [queueKey],
    );
    return Math.max(1, rows[0]?.count ?? 1);
  }

  /** A queue that was asked to go slower for the first time. False when another worker has just noted the same. */
  async insertSlowed(key: string, ratePerSecond: number, slowFactor: number): Promise<boolean> {
    const rows: unknown[] = await this.dataSource.query(
      `insert into send_bucket (key, rate_per_second, tokens, refilled_at, slow_factor, slowed_at, updated_at)
       values ($1, $2, 0, clock_timestamp(), $3, clock_timestamp(), clock_timestamp())
       on conflict (key) do nothing returning key`,
      [key, ratePerSecond, slowFactor],
    );
    return rows.length > 0;
  }

  /** Read, judge and write of one queue's pace; `change` returns null to leave the row and 'forget' to remove it. */
  async updatePace(
    key: string,
    change: (
      row: BucketRow,
    ) => { ratePerSecond: number; slowFactor: number; stepped: boolean } | 'forget' | null,
  ): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      const rows: BucketRow[] = await manager.query(`${BUCKET} where key = $1 for update`, [key]);
      const row = rows[0];
      const next = row === undefined ? null : change(row);
      if (next === 'forget') await manager.query('delete from send_bucket where key = $1', [key]);
      else if (next !== null) {
        await manager.query(
          `update send_bucket set rate_per_second = $2, slow_factor = $3, updated_at = clock_timestamp(),
             slowed_at = case when $4 then clock_timestamp() else slowed_at end where key = $1`,
          [key, next.ratePerSecond, next.slowFactor, next.stepped],
        );
      }
    });
  }

  /** Before limits are replaced: two owners at once must not mix theirs. */
  async lockAll(manager: EntityManager): Promise<void> {
    await manager.query('select 1 from send_bucket order by key for update');
  }

  /**
   * Mails of today, of the database's clock, that relays have or may have taken, by the queue they went in: reads a day's
   * attempts, once for each new limit of a day. Served by `message_attempt_finished`.
   */
  async sentToday(): Promise<{ queueKey: string; count: number }[]> {
    return this.dataSource.query(
      `select m.lane_key as "queueKey", count(*)::int as count from message_attempt a join message m on m.id = a.message_id
       where a.finished_at >= date_trunc('day', clock_timestamp(), 'UTC') and a.outcome in ('accepted', 'unknown') group by 1`,
    );
  }

  /**
   * Leaves exactly these limits, and the queues that were slowed down. A new limit starts with a full burst and the mails that went
   * before it today, a warm-up whose first day is changed anew.
   */
  async putLimits(
    manager: EntityManager,
    limits: (Pick<Bucket, 'key' | 'ratePerSecond' | 'burst' | 'dailyQuota' | 'rampStartedOn'> & {
      sentToday: number;
    })[],
  ): Promise<void> {
    await manager.query(`delete from send_bucket where not starts_with(key, 'lane:') and not key = any($1)`, [
      limits.map(({ key }) => key),
    ]);
    await manager.query(
      `insert into send_bucket (key, rate_per_second, burst, tokens, refilled_at, daily_quota, ramp_started_on, updated_at, quota_day, used_today)
       select u.key, u."ratePerSecond", u.burst, 1e9, clock_timestamp(), u."dailyQuota", u."rampStartedOn", clock_timestamp(),
         (clock_timestamp() at time zone 'UTC')::date, u."sentToday"
       from jsonb_to_recordset($1::jsonb) as u (key text, "ratePerSecond" float8, burst float8, "dailyQuota" bigint, "rampStartedOn" date, "sentToday" bigint)
       order by u.key
       on conflict (key) do update set burst = excluded.burst, daily_quota = excluded.daily_quota,
         ramp_days_used = case when send_bucket.ramp_started_on = excluded.ramp_started_on then send_bucket.ramp_days_used else 0 end,
         ramp_started_on = excluded.ramp_started_on, updated_at = excluded.updated_at,
         tokens = case when send_bucket.rate_per_second is null then excluded.tokens else send_bucket.tokens end,
         rate_per_second = excluded.rate_per_second`,
      [JSON.stringify(limits)],
    );
  }

  /** Queues nobody has sent through for a day: whatever their receivers said, it is no longer so. */
  async forgetIdleQueues(): Promise<void> {
    await this.dataSource.query(
      `delete from send_bucket where starts_with(key, 'lane:') and updated_at < clock_timestamp() - interval '1 day'`,
    );
  }
}
