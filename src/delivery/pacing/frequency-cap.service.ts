import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { Remembered } from '../../infra/remembered.js';
import type { FrequencyCap } from './frequency-cap.js';
import { putSetting, readSetting } from '../../infra/database/settings.js';

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
    return (await readSetting<FrequencyCap>(this.dataSource, SETTING)) ?? NO_CAP;
  }

  /** Obeyed by all workers within a second. What waits for a cap that is gone looks again at its time. */
  async set(cap: FrequencyCap): Promise<void> {
    await putSetting(this.dataSource, SETTING, cap, this.clock.now());
    this.#known.forget();
  }

  /** As it is at most a second ago. */
  async current(): Promise<FrequencyCap> {
    return this.#known.get();
  }
}
