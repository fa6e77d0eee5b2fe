import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { GenerationGuard } from '../delivery/generation/generation-guard.service.js';
import { joined, joinedKeysOf } from '../delivery/pacing/relay-shares.js';
import { OverdueService } from '../delivery/waiting/overdue.service.js';
import { PacingService } from '../delivery/pacing/pacing.service.js';
import { RelaysService } from '../delivery/relays/relays.service.js';
import { quotaFor, refill, secondAfter, urgencyOf, waitMs } from '../delivery/pacing/token-bucket.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import type { MessageFacts } from './explain-message.js';
import { lateRow, leavingsHoldUntil, sequencePaused, type MessageRow } from './explain.queries.js';

type Waits = Pick<
  MessageFacts,
  'sequencePaused' | 'late' | 'refusal' | 'leavings' | 'mailbox' | 'pacing' | 'relays'
>;

const NOTHING: Waits = {
  sequencePaused: false,
  late: null,
  refusal: null,
  leavings: null,
  mailbox: null,
  pacing: [],
  relays: [],
};

/** What holds back a mail that is ready, as the next claim will find it. Changes nothing. */
@Injectable()
export class ExplainWaits {
  constructor(
    private readonly dataSource: DataSource,
    private readonly guard: GenerationGuard,
    private readonly overdue: OverdueService,
    private readonly pacing: PacingService,
    private readonly relays: RelaysService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Nothing for a mail that is not ready. */
  async of(row: MessageRow): Promise<Waits> {
    if (row.state !== 'ready') return NOTHING;
    const db = this.dataSource.manager;
    const guard = await this.guard.state();
    return {
      sequencePaused: await sequencePaused(db, row),
      late: await lateRow(db, row.id, await this.overdue.expected()),
      refusal: guard.ok ? null : guard.reason,
      leavings: row.class === 'marketing' ? await leavingsHoldUntil(db, this.clock.now()) : null,
      mailbox: guard.ok ? await this.guard.waitsForMailbox() : null,
      pacing: await this.limits(row),
      relays: await this.relays.view(),
    };
  }

  /** The buckets of the mail's queue that let nothing through now. */
  private async limits({ queueKey, priority }: MessageRow): Promise<Waits['pacing']> {
    const urgency = urgencyOf(priority);
    const keys = new Set(joinedKeysOf(queueKey));
    const nowMs = this.clock.now().getTime();
    const buckets = (await this.pacing.buckets()).map((row) => refill(row, row.nowMs));
    const shares = await this.relays.shares();
    return joined(buckets, () => shares)
      .filter(({ key }) => keys.has(key))
      .filter((bucket) => waitMs(bucket, urgency) > 0)
      .map((bucket) => {
        const quota = quotaFor(bucket, urgency);
        const byDay = quota !== null && bucket.usedToday >= quota;
        return { bucket: bucket.key, byDay, until: secondAfter(nowMs + waitMs(bucket, urgency)) };
      });
  }
}
