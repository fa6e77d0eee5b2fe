import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { BroadcastMailsQueries } from '../delivery/broadcast-mails.queries.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import type { Broadcast } from './broadcast.js';
import { BroadcastUpkeep } from './broadcast-upkeep.service.js';
import { BroadcastsQueries } from './broadcasts.queries.js';
import { timesAfterTest } from './broadcast-batch.js';
import { decisionOf, type Split } from './split.js';
import { SplitQueries } from './split.queries.js';

const BATCH = 2_000;
const MINUTE_MS = 60_000;

/** Takes a split test from its last mail to its decision, and the winner to the rest. */
@Injectable()
export class SplitTests {
  constructor(
    private readonly dataSource: DataSource,
    private readonly broadcasts: BroadcastsQueries,
    private readonly queries: SplitQueries,
    private readonly mails: BroadcastMailsQueries,
    private readonly upkeep: BroadcastUpkeep,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** What is to be done now, for a broadcast that runs. Safe to be called at any time, by several at once. */
  async advance(id: string, goesOn: () => boolean): Promise<void> {
    const broadcast = await this.broadcasts.find(id);
    if (broadcast?.state !== 'running' || broadcast.split === null) return;
    if (broadcast.decision === null) await this.judge({ ...broadcast, split: broadcast.split });
    else await this.release(broadcast, goesOn);
  }

  private async judge(broadcast: Broadcast & { split: Split }): Promise<void> {
    const { id, split, decideAt } = broadcast;
    const now = this.clock.now();
    if (decideAt === null) {
      if (await this.queries.isBeingTried(id)) return;
      const at = new Date(now.getTime() + split.waitMinutes * MINUTE_MS);
      await this.queries.setDecideAt(this.dataSource.manager, id, at);
      return;
    }
    if (decideAt > now) return;
    if (await this.upkeep.stoppedAsOverdue(id, decideAt)) return;
    const { revenueCap: cap = null } = split;
    const figures = await this.queries.figures({ broadcastId: id, cap, until: now });
    const decision = decisionOf(split, figures, now);
    await this.dataSource.transaction(async (manager) => {
      const current = await this.broadcasts.lock(manager, id);
      if (current?.state !== 'running' || current.decision !== null) return;
      await this.queries.decide(manager, id, decision);
    });
  }

  /** Those who wait get the arm of the decision, at their time as if the broadcast had begun with it. */
  private async release(broadcast: Broadcast, goesOn: () => boolean): Promise<void> {
    const { id, decision, armTemplateIds } = broadcast;
    const templateId = decision === null ? undefined : armTemplateIds?.[decision.arm];
    if (decision === null || templateId === undefined) return;
    while (goesOn()) {
      const count = await this.dataSource.transaction(async (manager) => {
        if (!(await this.queries.isRunning(manager, id))) return 0;
        const waiting = await this.mails.waitingForTest(manager, id, BATCH);
        const timed = waiting.map((mail) => ({
          id: mail.id,
          ...timesAfterTest({ ...broadcast, decision }, mail),
        }));
        await this.mails.giveWinner(manager, { templateId, mails: timed });
        return waiting.length;
      });
      if (count < BATCH) return;
    }
  }
}
