import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { HeldService } from '../delivery/waiting/held.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { readSetting, putSetting } from '../infra/database/settings.js';
import { UndeliverableService } from '../subscribers/undeliverable.service.js';
import { DAY_MS } from '../values/time-units.js';
import { refusingMailboxes } from './refusing-mailboxes.queries.js';

const LOOKED = 'bounces.refusing-mailboxes';
/** Three mails are no chance, and a server that moves its mailboxes may be in trouble for a weekend. */
const MAILS = 3;
const DAYS = 3;
/** Three letters of every month lie within it. */
const WINDOW_DAYS = 90;
/** One in ten that refuses the same mail is no mailbox of its own any more, but a rule about us. */
const SHARE = 10;
/** Of people in one transaction: each commit wakes the end of their sequences, in every worker. Their rows are locked meanwhile. */
const BATCH = 50;

/**
 * A server that takes no mail for one mailbox, and says so without a reason at the end of each: the account is closed to us in
 * a way that it does not tell. By one answer nobody can know that from a word about us, which would be said to many; so
 * it counts when it is said again and again to one mailbox, and others there take the same mails. Marketing ends as after mails that did
 * not arrive, and what is held because of the sender comes to its end.
 */
@Injectable()
export class RefusingMailboxes {
  constructor(
    private readonly dataSource: DataSource,
    private readonly undeliverable: UndeliverableService,
    private readonly held: HeldService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Safe to run twice at once. Somebody whom the owner writes to again is asked after with their next refusal. Who is left when
   * it has to stop is found by the next one, which looks at the same news.
   */
  async look(signal: AbortSignal): Promise<void> {
    const now = this.clock.now();
    const db = this.dataSource.manager;
    const looked = await readSetting<{ at: string }>(db, LOOKED);
    const found = await refusingMailboxes(db, {
      since: new Date(now.getTime() - WINDOW_DAYS * DAY_MS),
      newsSince: new Date(looked?.at ?? 0),
      ...{ mails: MAILS, days: DAYS, share: SHARE },
    });
    for (let from = 0; from < found.length; from += BATCH) {
      if (signal.aborted) return;
      await this.dataSource.transaction(async (manager) => {
        for (const about of found.slice(from, from + BATCH))
          await this.undeliverable.giveUp(manager, 'soft_bounce', {
            ...about,
            source: 'bounce: unexplained',
          });
      });
    }
    await putSetting(db, LOOKED, { at: now.toISOString() }, now);
    await this.held.endSuppressed();
  }
}
