import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../clock.js';

/** So many points in a window of so many seconds, which opens with the first of them. `name` keeps its keys apart. */
export interface RateLimit {
  readonly name: string;
  readonly points: number;
  readonly seconds: number;
}

/** `retryAfterSeconds` is whole and at least 1. */
export type RateLimitVerdict = { allowed: true } | { allowed: false; retryAfterSeconds: number };

/**
 * Counts what may happen only so often, in the database, so that all processes count together. It runs on `Clock` like
 * everything else: a limit is tested at its exact edge. (`rate-limiter-flexible` reads the system's time itself.) The
 * only writer of `rate_limit`. Keys are stored as they are given: whoever counts addresses gives a keyed hash.
 */
@Injectable()
export class RateLimits {
  constructor(
    private readonly dataSource: DataSource,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Counts `points` more for the key, also when they are refused; the window does not grow by that. One statement on
   * one row by its primary key: callers at the same moment are counted one after the other, each once. With `db`, a
   * point counts only when its transaction is committed.
   */
  async take(
    { name, points: most, seconds }: RateLimit,
    key: string,
    points = 1,
    db: EntityManager = this.dataSource.manager,
  ): Promise<RateLimitVerdict> {
    const nowMs = this.clock.now().getTime();
    const rows: { points: number; expire: string }[] = await db.query(
      `insert into rate_limit as l (key, points, expire) values ($1, $2, $3)
       on conflict (key) do update set
         points = case when l.expire <= $4 then excluded.points else least(l.points + excluded.points, 1000000000) end,
         expire = case when l.expire <= $4 then excluded.expire else l.expire end
       returning points, expire`,
      [`${name}:${key}`, points, nowMs + seconds * 1000, nowMs],
    );
    const row = rows[0];
    if (!row) throw new Error('a point was neither counted nor refused');
    if (row.points <= most) return { allowed: true };
    return { allowed: false, retryAfterSeconds: Math.max(1, Math.ceil((Number(row.expire) - nowMs) / 1000)) };
  }

  /** Opens a new window at the next point. */
  async clear({ name }: RateLimit, key: string): Promise<void> {
    await this.dataSource.query('delete from rate_limit where key = $1', [`${name}:${key}`]);
  }

  /** Removes windows that are over; they would count as new ones anyway. */
  async removeExpired(): Promise<void> {
    await this.dataSource.query('delete from rate_limit where expire <= $1', [this.clock.now().getTime()]);
  }
}
