import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { BroadcastMailsQueries } from '../delivery/planning/broadcast-mails.queries.js';
import { queueKey } from '../delivery/message/recipient-group.js';
import { SendingService, type PendingTest } from '../delivery/pacing/sending.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { readableBps } from '../experiments/test-options.js';
import { notFound } from '../values/not-found.js';
import { timesAfterTest } from './broadcast-batch.js';
import type { Broadcast, BroadcastReport, BroadcastResults } from './broadcast.js';
import { BroadcastsQueries } from './broadcasts.queries.js';
import { countedUntil, holdoutResults } from './holdout.js';
import { broadcastResults } from './results.queries.js';
import { SplitQueries } from './split.queries.js';

const OPEN_MAIL_STATES: ReadonlySet<string> = new Set(['ready', 'held', 'leased', 'in_data']);

/** How broadcasts stand. Changes nothing. */
@Injectable()
export class BroadcastReports {
  constructor(
    private readonly dataSource: DataSource,
    private readonly queries: BroadcastsQueries,
    private readonly mails: BroadcastMailsQueries,
    private readonly splits: SplitQueries,
    private readonly sending: SendingService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** With the estimate of when it will be through. Throws `BROADCAST_NOT_FOUND`. */
  async get(id: string): Promise<BroadcastReport> {
    const broadcast = await this.queries.find(id);
    const [report] = broadcast ? await this.reports([broadcast]) : [];
    if (!report) throw notFound('broadcast', id);
    return { ...report, estimate: await this.estimate(report), arms: await this.arms(report) };
  }

  /** Counted; takes about a second for a million mails. Throws `BROADCAST_NOT_FOUND`. */
  async results(id: string): Promise<BroadcastResults> {
    const broadcast = await this.queries.find(id);
    if (broadcast === null) throw notFound('broadcast', id);
    const results = await broadcastResults(this.dataSource.manager, id);
    return { ...results, holdout: await this.holdout(broadcast) };
  }

  private async holdout({ id, split, startedAt }: Broadcast): Promise<BroadcastResults['holdout']> {
    if (split?.holdout === undefined || startedAt === null) return null;
    const until = countedUntil(startedAt, this.clock.now());
    const figures = await this.splits.groups(id, { split, from: startedAt, until });
    return holdoutResults(split, figures, until);
  }

  /** Newest first. */
  async list(page: { beforeId: string | undefined; limit: number }): Promise<Broadcast[]> {
    return this.queries.list(page);
  }

  /** Newest first, counted. Counting takes about a second for a million mails, so keep `limit` small. */
  async reportsOf(page: { beforeId: string | undefined; limit: number }): Promise<BroadcastReport[]> {
    return this.reports(await this.queries.list(page));
  }

  private async estimate(report: BroadcastReport): Promise<BroadcastReport['estimate']> {
    const { id, state, sender } = report;
    if (state !== 'planning' && state !== 'running') return null;
    const unwritten = state === 'planning' ? await this.unwritten(report) : 0;
    const more = { unwritten, queue: queueKey(sender.email, 'other'), test: pendingTest(report) };
    const { remaining, waitsForTest, completesAt, perSecond, limitedBy } = await this.sending.estimate(
      id,
      more,
    );
    return { remaining, unwritten, waitsForTest, completesAt, perSecond, limitedBy };
  }

  /** Less those of them who are held out, as far as a share tells. */
  private async unwritten(broadcast: Broadcast): Promise<number> {
    const heldOutBps =
      broadcast.split?.holdout === undefined ? 0 : (readableBps(broadcast.split.holdout) ?? 0);
    const people = await this.queries.unwritten(broadcast);
    return Math.round((people * (10_000 - heldOutBps)) / 10_000);
  }

  /** Of a test that is over, as they stood when it was judged; else as they stand now. */
  private async arms({ id, split, startedAt, decision }: BroadcastReport): Promise<BroadcastReport['arms']> {
    if (split === null || startedAt === null) return null;
    const until = decision === null ? this.clock.now() : new Date(decision.at);
    const figures = await this.splits.figures({ broadcastId: id, split, until });
    const none = {
      ...{ people: 0, reached: 0, sent: 0, clickers: 0, revenueMinor: 0, capped: [] },
      ...{ unsubscribes: 0, complaints: 0 },
    };
    return split.arms.map((_, arm) => figures.find((one) => one.arm === arm) ?? { arm, ...none });
  }

  private async reports(broadcasts: Broadcast[]): Promise<BroadcastReport[]> {
    const rows = await this.mails.counts(broadcasts.map(({ id }) => id));
    return broadcasts.map((broadcast) => {
      const own = rows.filter(({ broadcastId }) => broadcastId === broadcast.id);
      const open = own.some(({ state }) => OPEN_MAIL_STATES.has(state));
      return {
        ...broadcast,
        counts: Object.fromEntries(own.map(({ state, count }) => [state, count])),
        complete: !open && (broadcast.plannedAt !== null || broadcast.state === 'cancelled'),
        estimate: null,
        arms: null,
      };
    });
  }
}

/** Before it is decided the rest may come to any arm, and so to the last of their hours. */
function pendingTest(broadcast: Broadcast): PendingTest | null {
  const { split, decision, decideAt, timing } = broadcast;
  if (split === null) return null;
  const arms = decision === null ? [...split.arms.keys()] : [decision.arm];
  return {
    decideAt: decision === null ? decideAt : new Date(decision.at),
    waitMs: split.waitMinutes * 60_000,
    local: (timing?.local ?? null) !== null,
    dueAfter: (decidedAt, mail) => {
      const at = decidedAt.toISOString();
      const times = arms.map((arm) => timesAfterTest({ ...broadcast, decision: { arm, at } }, mail).dueAt);
      return new Date(Math.max(...times.map((time) => time.getTime())));
    },
  };
}
