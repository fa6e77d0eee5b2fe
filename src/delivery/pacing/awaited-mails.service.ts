import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { AlertsService } from '../../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { MINUTE_MS } from '../../values/time-units.js';
import { PLACES } from '../ledger/due-places.queries.js';
import { RelaysService } from '../relays/relays.service.js';
import { limitName } from './limit-name.js';
import { PacingService } from './pacing.service.js';
import { joined, joinedKeysOf } from './relay-shares.js';
import { quotaFor, refill, secondAfter, waitMs } from './token-bucket.js';

const ALERT = 'limits:awaited';
/** Whoever has asked for a link looks for it so long. */
const PATIENCE_MS = 5 * MINUTE_MS;
/** So many are counted of each queue: a look is to cost little. */
const COUNTED = 1_000;

interface Kept {
  queueKey: string;
  count: number;
}

/** Tells the owner that a limit keeps mails that somebody waits for. */
@Injectable()
export class AwaitedMails {
  constructor(
    private readonly dataSource: DataSource,
    private readonly pacing: PacingService,
    private readonly relays: RelaysService,
    private readonly alerts: AlertsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Says so as long as it is so. Safe to run twice at once. */
  async look(): Promise<void> {
    const now = this.clock.now();
    const kept = await this.waiting(new Date(now.getTime() - PATIENCE_MS));
    const limits = kept.length === 0 ? [] : await this.limitsOf(kept, now);
    const [first] = limits;
    if (first === undefined) {
      await this.alerts.resolve(ALERT);
      return;
    }
    const { name, count, byDay, until } = first;
    const limit = byDay ? 'has used up its mails of the day' : 'lets no more through just now';
    await this.alerts.raise({
      key: ALERT,
      severity: 'critical',
      message: `Mails that somebody waits for, as confirmations and receipts, are kept by a limit (${count} for more than ${PATIENCE_MS / MINUTE_MS} minutes): “${name}” ${limit}, and the next may go at ${until.toISOString()}. Who does not get a confirmation is often lost. The page Limits of sending has it.`,
      facts: { limits },
    });
  }

  /** Two look-ups in `message_ready` for each queue in which one waits. */
  private async waiting(dueBefore: Date): Promise<Kept[]> {
    return this.dataSource.query(
      `${PLACES}
       select lane_key as "queueKey", waiting.count::int as count from place cross join lateral (
         select count(*) from (select from message m
           where m.state = 'ready' and m.lane_key = place.lane_key and m.priority = place.priority and m.due_at <= $1
           limit ${COUNTED}) due) waiting
       where place.priority = 0 and waiting.count > 0`,
      [dueBefore],
    );
  }

  /** Those that let no such mail through now, with how many each keeps; first the one that keeps the most. */
  private async limitsOf(
    kept: readonly Kept[],
    now: Date,
  ): Promise<{ name: string; count: number; byDay: boolean; until: Date }[]> {
    const shares = await this.relays.shares();
    const buckets = (await this.pacing.buckets()).map((row) => refill(row, row.nowMs));
    return joined(buckets, () => shares)
      .map((bucket) => ({ bucket, ms: waitMs(bucket, 'urgent') }))
      .filter(({ ms }) => ms > 0)
      .map(({ bucket, ms }) => {
        const own = kept.filter(({ queueKey }) => joinedKeysOf(queueKey).includes(bucket.key));
        const quota = quotaFor(bucket, 'urgent');
        return {
          name: limitName(bucket.key),
          count: own.reduce((sum, { count }) => sum + count, 0),
          byDay: quota !== null && bucket.usedToday >= quota,
          until: secondAfter(now.getTime() + ms),
        };
      })
      .filter(({ count }) => count > 0)
      .toSorted((a, b) => b.count - a.count);
  }
}
