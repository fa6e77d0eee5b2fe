import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { Remembered } from '../../infra/remembered.js';
import { FREQUENCY_CAP } from '../message/state-reasons.js';
import { letsMore, type FrequencyCap } from './frequency-cap.js';
import { putSetting, readSetting } from '../../infra/database/settings.js';

const SETTING = 'sending.frequency';
/** It lets more through since, and what waits has not been looked at again yet. */
const RAISED = 'sending.frequency.raised';
const REMEMBERED_MS = 1_000;
const NO_CAP: FrequencyCap = { perDay: null, perWeek: null };

/** How many mails the owner lets one person get. The only writer of the settings `sending.frequency` and `sending.frequency.raised`. */
@Injectable()
export class FrequencyCapService {
  readonly #known = new Remembered(async () => this.read(), REMEMBERED_MS);

  constructor(
    private readonly dataSource: DataSource,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async read(): Promise<FrequencyCap> {
    return (await readSetting<FrequencyCap>(this.dataSource, SETTING)) ?? NO_CAP;
  }

  /** Obeyed by all workers within a second. Where it lets more through than before, what waits goes as `lookAgain` says. */
  async set(cap: FrequencyCap): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      const before = (await readSetting<FrequencyCap>(manager, SETTING)) ?? NO_CAP;
      await putSetting(manager, SETTING, cap, this.clock.now());
      if (letsMore(cap, before)) await putSetting(manager, RAISED, {});
    });
    this.#known.forget();
  }

  /**
   * Mails that wait for a cap which lets more through by now are due, and their claim asks the cap anew: they would wait for
   * the day that the old one gave them. Not before every worker knows the new one. They are as late as when they began to wait.
   * Called by the reaper; walks all that is ready once for each change, which is rare enough, and waits for nobody's lock.
   */
  async lookAgain(): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      const [, raised]: [unknown[], number] = await manager.query(
        `delete from setting where key = $1 and updated_at not between clock_timestamp() - interval '2 seconds' and clock_timestamp()`,
        [RAISED],
      );
      if (raised === 0) return;
      await manager.query(
        `with waiting as materialized (
           select id from message where state = 'ready' and due_at > $1 and starts_with(state_reason, $2) for update skip locked)
         update message m set due_at = $1, planned_for = m.planned_for - (m.due_at - $1) from waiting w where w.id = m.id`,
        [this.clock.now(), FREQUENCY_CAP],
      );
    });
  }

  /** As it is at most a second ago. */
  async current(): Promise<FrequencyCap> {
    return this.#known.get();
  }
}
