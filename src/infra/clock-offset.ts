import type { DataSource } from 'typeorm';
import type { SystemClock } from './clock.js';
import { putSetting, readSetting } from './database/settings.js';

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
    const kept = await readSetting<{ offsetMs: number }>(this.dataSource, KEY);
    this.clock.restoreOffset(kept?.offsetMs ?? 0);
  }

  async save(): Promise<void> {
    await putSetting(this.dataSource, KEY, { offsetMs: this.clock.offsetMs }, this.clock.now());
  }
}
