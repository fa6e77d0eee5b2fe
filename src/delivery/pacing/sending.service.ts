import { Inject, Injectable } from '@nestjs/common';
import type { z } from 'zod';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { GenerationGuard } from '../generation/generation-guard.service.js';
import { readPaceKey } from './bucket-keys.js';
import { joined, joinedKeysOf } from './relay-shares.js';
import { estimate, withUnwritten, type Estimate, type QueueLoad, type Stop } from './estimate.js';
import { HeldService } from '../waiting/held.service.js';
import type { BucketRow } from './pacing.queries.js';
import { PacingService } from './pacing.service.js';
import { RelaysService } from '../relays/relays.service.js';
import { SendingQueries } from './sending.queries.js';
import type { estimateResponse, SendingState } from './sending.schemas.js';
import { available, quotaFor, quotaOn, rateOf, refill, secondAfter } from './token-bucket.js';

/** What a broadcast knows of its mails beyond the ledger. */
interface Unwritten {
  /** Mails that planning has still to write. */
  unwritten: number;
  /** By which they go where none is written yet. */
  queue: string;
  test: PendingTest | null;
}

/** A split test, for the rest of whose readers something is still to be sent. */
export interface PendingTest {
  /** When it is judged, or was; null: `waitMs` after the last of its mails has gone. */
  decideAt: Date | null;
  waitMs: number;
  /** Whether those who wait are to get their mail at an hour of their clocks. */
  local: boolean;
  /** When a mail that waits is due by a decision at that time. `dueAt`: as it is planned now. */
  dueAfter(decidedAt: Date, mail: MailThatWaits): Date;
}

interface MailThatWaits {
  /** Of its reader; null where it is not known or does not matter. */
  timeZone: string | null;
  dueAt: Date;
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
    const [guard, buckets, relays, counts, putOff, takesWrites, silentKeepers] = await Promise.all([
      this.guard.state(),
      this.pacing.buckets(),
      this.relays.view(),
      this.held.counts(),
      this.queries.putOff(this.clock.now()),
      this.queries.takesWrites(),
      this.queries.silentKeepers(this.clock.now()),
    ]);
    const inUse = new Set([null, ...relays.map(({ name }) => name)]);
    const isInUse = ({ key }: BucketRow): boolean => inUse.has(readPaceKey(key)?.relay ?? null);
    return {
      maySend: guard.ok,
      takesWrites,
      reason: guard.ok ? null : guard.reason,
      buckets: buckets.filter(isInUse).map((row) => {
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
          reservedToday: quota === null ? 0 : quota - (quotaFor(bucket, 'bulk') ?? quota),
          warmUpStartedOn: bucket.rampStartedOn,
        };
      }),
      relays,
      silentKeepers,
      putOff,
      held: counts.held,
      unknown: counts.unknown,
      unknownOfSequences: counts.unknownOfSequences,
      pausedSequences: counts.pausedSequences,
      pausedBroadcasts: counts.pausedBroadcasts,
    };
  }

  /**
   * When what is ready will have gone out at the present rates; for one broadcast, with what waits for its split test and
   * `unwritten`, or all that is due.
   */
  async estimate(
    broadcastId: string | null,
    { unwritten = 0, queue = '', test = null }: Partial<Unwritten> = {},
  ): Promise<Omit<z.output<typeof estimateResponse>, 'completesAt'> & { completesAt: Date | null }> {
    const now = this.clock.now();
    const [buckets, shares, observedPerSecond, guard, anyWorks, silent] = await Promise.all([
      this.pacing.buckets(),
      this.relays.shares(),
      this.queries.observedPerSecond(),
      this.guard.state(),
      this.relays.anyWorks(),
      this.queries.silentKeepers(now),
    ]);
    const limits = {
      buckets: joined(
        buckets.map((row) => refill(row, row.nowMs)),
        () => shares,
      ),
      bucketsOf: joinedKeysOf,
      observedPerSecond,
    };
    const listsWait = silent.some(({ until }) => until !== null);
    const stopped: Stop | null = !guard.ok ? 'ledger' : !anyWorks ? 'relay' : listsWait ? 'leavings' : null;
    const of = (loads: readonly QueueLoad[], stop: Stop | null = stopped): Estimate =>
      estimate(loads, limits, { nowMs: now.getTime(), stop });
    if (broadcastId === null) {
      const load = await this.queries.dueLoad(now);
      return shown(null, of(load, stopped ?? stopOf(load)), 0);
    }
    const waiting = await this.queries.waitingLoad(broadcastId, now, test?.local ?? false);
    const waits = waiting.length > 0 || unwritten > 0;
    const testEnds = async (): Promise<number> =>
      (of(await this.queries.broadcastLoad(broadcastId, now, null)).completesAtMs ?? now.getTime()) +
      (test?.waitMs ?? 0);
    const decidedAtMs = test === null || !waits ? 0 : (test.decideAt?.getTime() ?? (await testEnds()));
    const decidedAt = new Date(Math.max(now.getTime(), decidedAtMs));
    const inMs = (mail: MailThatWaits): number =>
      Math.max(0, (test?.dueAfter(decidedAt, mail) ?? mail.dueAt).getTime() - now.getTime());
    const freed = waiting.map(({ queueKey, count, hours, ...mail }) => ({
      ...{ queueKey, inMs: inMs(mail), ready: count, ahead: 0, hours },
    }));
    const untilMs = now.getTime() + Math.max(0, ...freed.map((one) => one.inMs));
    const load = await this.queries.broadcastLoad(broadcastId, now, new Date(untilMs));
    const alone = { queueKey: queue, inMs: inMs({ timeZone: null, dueAt: now }) };
    const written = [...load, ...freed];
    const loads = unwritten > 0 ? withUnwritten(written, unwritten, alone) : written;
    const waitsForTest = freed.reduce((sum, { ready }) => sum + ready, 0);
    return shown(broadcastId, of(loads, stopped ?? stopOf(load)), waitsForTest);
  }
}

/** A key that is missing stops no other sender's mails, but these are of one. */
function stopOf(load: readonly { unsigned: number }[]): Stop | null {
  return load.some(({ unsigned }) => unsigned > 0) ? 'signing' : null;
}

function shown(
  broadcastId: string | null,
  { remaining, completesAtMs, perSecond, limitedBy }: Estimate,
  waitsForTest: number,
): Omit<z.output<typeof estimateResponse>, 'completesAt'> & { completesAt: Date | null } {
  const completesAt = completesAtMs === null ? null : secondAfter(completesAtMs);
  return { broadcastId, remaining, waitsForTest, completesAt, perSecond, limitedBy };
}
