import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { readSetting } from '../../infra/database/settings.js';
import { GenerationGuard } from './generation-guard.service.js';

/** Key of `setting`: `{ at }`, when the look at the bounce mailbox began that was the last to come to its end. */
export const MAILBOX_READ = 'bounces.mailbox-read';
/** A mailbox that cannot be read has an alert of its own, and must not keep all mail back for good. */
const LONGEST_WAIT_MS = 600_000;

/**
 * While the database waited for its owner's word nobody read the bounce mailbox, and whoever left or complained by mail is in
 * it, perhaps for days. It is read once before the first mail goes.
 */
@Injectable()
export class MailboxFirst {
  /** `at` of the word after which it was read, or that is longer ago. */
  #readSince: string | null = null;

  constructor(
    private readonly dataSource: DataSource,
    private readonly guard: GenerationGuard,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** To be asked before each run. */
  async isRead(): Promise<boolean> {
    if (this.config.bounceImapUrl === null) return true;
    const confirmed = await this.guard.lastConfirmed();
    if (confirmed === null || confirmed.at === this.#readSince) return true;
    const confirmedMs = Date.parse(confirmed.at);
    const read = await readSetting<{ at: string }>(this.dataSource, MAILBOX_READ);
    const isRead = read !== null && Date.parse(read.at) >= confirmedMs;
    if (!isRead && this.clock.now().getTime() - confirmedMs < LONGEST_WAIT_MS) return false;
    this.#readSince = confirmed.at;
    return true;
  }
}
