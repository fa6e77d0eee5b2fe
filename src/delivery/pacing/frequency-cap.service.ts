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
/** So many mails in one transaction. */
const BATCH = 20_000;
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
   * Called by the reaper; walks all that is ready for each batch after a change, which is rare enough, and waits for nobody's lock.
   * A million in one transaction could not be claimed for minutes.
   */
  async lookAgain(): Promise<void> {
    const raised: { at: string }[] = await this.dataSource.query(
      `select updated_at::text as at from setting
       where key = $1 and updated_at not between clock_timestamp() - interval '2 seconds' and clock_timestamp()`,
      [RAISED],
    );
    if (raised[0] === undefined) return;
    for (let from: string | null = '0'; from !== null;) from = await this.lookAtSome(from);
    await this.dataSource.query('delete from setting where key = $1 and updated_at = $2::timestamptz', [
      RAISED,
      raised[0].at,
    ]);
  }

  /** Those behind that id, as some wait anew meanwhile. Returns the last of a whole batch. */
  private async lookAtSome(from: string): Promise<string | null> {
    const [some]: { count: number; last: string | null }[] = await this.dataSource.query(
      `with waiting as materialized (
         select id from message where state = 'ready' and due_at > $1 and starts_with(state_reason, $2) and id > $3
         order by id limit $4 for update skip locked),
       due as (
         update message m set due_at = $1, planned_for = m.planned_for - (m.due_at - $1) from waiting w where w.id = m.id returning m.id)
       select count(*)::int as count, max(id) as last from due`,
      [this.clock.now(), FREQUENCY_CAP, from, BATCH],
    );
    return some?.count === BATCH ? some.last : null;
  }

  /** As it is at most a second ago. */
  async current(): Promise<FrequencyCap> {
    return this.#known.get();
  }
}
