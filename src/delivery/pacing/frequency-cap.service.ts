import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { Remembered } from '../../infra/remembered.js';
import type { FrequencyCap } from './frequency-cap.js';

const SETTING = 'sending.frequency';
const REMEMBERED_MS = 1_000;
const NO_CAP: FrequencyCap = { perDay: null, perWeek: null };

/** How many mails the owner lets one person get. The only writer of the setting `sending.frequency`. */
@Injectable()
export class FrequencyCapService {
  readonly #known = new Remembered(async () => this.read(), REMEMBERED_MS);

  constructor(
    private readonly dataSource: DataSource,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async read(): Promise<FrequencyCap> {
    const rows: { value: FrequencyCap }[] = await this.dataSource.query(
      'select value from setting where key = $1',
      [SETTING],
    );
    return rows[0]?.value ?? NO_CAP;
  }

  /** Obeyed by all workers within a second. What waits for a cap that is gone looks again at its time. */
  async set(cap: FrequencyCap): Promise<void> {
    await this.dataSource.query(
      `insert into setting (key, value, updated_at) values ($1, $2, $3)
       on conflict (key) do update set value = excluded.value, updated_at = excluded.updated_at`,
      [SETTING, JSON.stringify(cap), this.clock.now()],
    );
    this.#known.forget();
  }

  /** As it is at most a second ago. */
  async current(): Promise<FrequencyCap> {
    return this.#known.get();
  }
}
