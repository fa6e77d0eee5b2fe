import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { readSetting } from '../../infra/database/settings.js';
import type { LedgerRow } from './generation.js';

/** Key of `setting`: `{ generation }` of the ledger in which a look at the bounce mailbox last came to its end. */
export const MAILBOX_READ = 'bounces.mailbox-read';
/** A mailbox that cannot be read has an alert of its own, and must not keep all mail back for good. */
const LONGEST_WAIT_MS = 600_000;

type Confirmed = Pick<LedgerRow, 'generation' | 'confirmed'>;

/**
 * While the database waited for its owner's word nobody read the bounce mailbox, and whoever left or complained by mail is in
 * it, perhaps for days. It is read once before the first mail goes.
 */
@Injectable()
export class MailboxFirst {
  /** The generation in which it was read, or whose owner confirmed it longer ago. */
  #readIn: number | null = null;
  /** Since when this process waits, by its steady counter: the clock may have been ahead as the owner confirmed. */
  #since: { generation: number; atMs: number } | null = null;

  constructor(
    private readonly dataSource: DataSource,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** To be asked before each claim. */
  async isRead(row: Confirmed): Promise<boolean> {
    const until = await this.waitsUntil(row);
    if (until === null) this.#readIn = row.generation;
    return until === null;
  }

  /** When mails go at the latest; null: they do not wait for it. */
  async waitsUntil({ generation, confirmed }: Confirmed): Promise<Date | null> {
    if (this.config.bounceImapUrl === null || confirmed === null || generation === this.#readIn) return null;
    const read = await readSetting<{ generation: number }>(this.dataSource, MAILBOX_READ);
    if (read?.generation === generation) return null;
    if (this.#since?.generation !== generation) this.#since = { generation, atMs: performance.now() };
    const now = this.clock.now().getTime();
    const waitedMs = Math.max(now - Date.parse(confirmed.at), performance.now() - this.#since.atMs);
    return waitedMs < LONGEST_WAIT_MS ? new Date(now + LONGEST_WAIT_MS - waitedMs) : null;
  }
}
