import { Inject, Injectable } from '@nestjs/common';
import type { z } from 'zod';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { GenerationGuard } from '../generation/generation-guard.service.js';
import { bucketKeysOf } from './bucket-keys.js';
import { estimate, withUnwritten, type Stop } from './estimate.js';
import { HeldService } from '../waiting/held.service.js';
import { PacingService } from './pacing.service.js';
import { RelaysService } from '../relays/relays.service.js';
import { SendingQueries } from './sending.queries.js';
import type { estimateResponse, SendingState } from './sending.schemas.js';
import { available, quotaOn, rateOf, refill, reserveOf } from './token-bucket.js';

/** What a broadcast knows of its mails beyond the ledger. */
export interface Unwritten {
  /** Mails that planning has still to write. */
  unwritten: number;
  /** By which they go where none is written yet. */
  queue: string;
  /** Until its split test is judged; 0 without one. */
  testMs: number;
}

/** How sending stands: what the API and the owner's page show. Changes nothing. */
@Injectable()
export class SendingService {
  constructor(
    private readonly queries: SendingQueries,
    private readonly relays: RelaysService,
    private readonly guard: GenerationGuard,
    private readonly held: HeldService,
    private readonly pacing: PacingService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async state(): Promise<SendingState> {
    const [guard, buckets, relays, counts] = await Promise.all([
      this.guard.state(),
      this.pacing.buckets(),
      this.relays.view(),
      this.held.counts(),
    ]);
    return {
      maySend: guard.ok,
      reason: guard.ok ? null : guard.reason,
      buckets: buckets.map((row) => {
        const bucket = refill(row, row.nowMs);
        const now = available(bucket, 'bulk');
        const quota = quotaOn(bucket, bucket.quotaDay ?? '');
        return {
          key: bucket.key,
          perSecond: rateOf(bucket),
          slowFactor: bucket.slowFactor,
          availableNow: Number.isFinite(now) ? now : null,
          usedToday: bucket.usedToday,
          quotaToday: quota,
          reservedToday: quota === null ? 0 : reserveOf(quota),
          warmUpStartedOn: bucket.rampStartedOn,
        };
      }),
      relays,
      held: counts.held,
      unknown: counts.unknown,
      unknownOfSequences: counts.unknownOfSequences,
      pausedSequences: counts.pausedSequences,
    };
  }

  /**
   * When what is ready will have gone out at the present rates; for one broadcast, with what waits for its split test and
   * `unwritten`, or all that is due.
   */
  async estimate(
    broadcastId: string | null,
    { unwritten = 0, queue = '', testMs = 0 }: Partial<Unwritten> = {},
  ): Promise<Omit<z.output<typeof estimateResponse>, 'completesAt'> & { completesAt: Date | null }> {
    const now = this.clock.now();
    const [load, buckets, observedPerSecond, guard, anyWorks] = await Promise.all([
      this.queries.load(broadcastId, now),
      this.pacing.buckets(),
      this.queries.observedPerSecond(),
      this.guard.state(),
      this.relays.anyWorks(),
    ]);
    const isUnsigned = load.some(({ unsigned }) => unsigned > 0);
    const stop: Stop | null = !guard.ok ? 'ledger' : !anyWorks ? 'relay' : isUnsigned ? 'signing' : null;
    const lastDueAtMs = Math.max(0, ...load.map(({ lastDueAt }) => lastDueAt?.getTime() ?? 0));
    const waitsForTest = load.reduce((sum, { waiting }) => sum + waiting, 0);
    const { remaining, completesAtMs, perSecond, limitedBy } = estimate(
      unwritten > 0 ? withUnwritten(load, unwritten, queue) : load,
      {
        buckets: buckets.map((row) => refill(row, row.nowMs)),
        bucketsOf: bucketKeysOf,
        observedPerSecond,
      },
      { nowMs: now.getTime(), lastDueAtMs: lastDueAtMs === 0 ? null : lastDueAtMs, stop },
    );
    // Nothing of it goes while the test is under way.
    const shiftMs = waitsForTest + unwritten > 0 ? testMs : 0;
    const completesAt = completesAtMs === null ? null : new Date(completesAtMs + shiftMs);
    return { broadcastId, remaining, waitsForTest, completesAt, perSecond, limitedBy };
  }
}
