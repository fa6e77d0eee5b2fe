import type { DataSource } from 'typeorm';
import type { SystemClock } from './clock.js';

const KEY = 'clock.offset';

/**
 * How far demo mode has moved the application's time ahead, kept in the database: after a restart nothing that has
 * happened may lie in the future.
 */
export class ClockOffset {
  constructor(
    private readonly dataSource: DataSource,
    private readonly clock: SystemClock,
  ) {}

  async load(): Promise<void> {
    const rows: { offsetMs: number }[] = await this.dataSource.query(
      `select (value->>'offsetMs')::float8 as "offsetMs" from setting where key = $1`,
      [KEY],
    );
    const offsetMs = rows[0]?.offsetMs ?? 0;
    this.clock.restoreOffset(offsetMs);
  }

  async save(): Promise<void> {
    await this.dataSource.query(
      `insert into setting (key, value, updated_at) values ($1, $2, $3)
       on conflict (key) do update set value = excluded.value, updated_at = excluded.updated_at`,
      [KEY, JSON.stringify({ offsetMs: this.clock.offsetMs }), this.clock.now()],
    );
  }
}
