import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import type { Broadcast } from './broadcast.js';
import { BroadcastUpkeep } from './broadcast-upkeep.service.js';
import { BroadcastsQueries } from './broadcasts.queries.js';
import { SplitMails } from './split-mails.service.js';
import type { Split } from './split.js';
import { decisionOf, lookAt, newBreaches, type ArmFigures } from './split-results.js';
import { SplitQueries } from './split.queries.js';
import { MINUTE_MS } from '../values/time-units.js';

type Tested = Broadcast & { split: Split };

/** Takes a split test from its first mail to its decision, and the winner to the rest. */
@Injectable()
export class SplitTests {
  constructor(
    private readonly dataSource: DataSource,
    private readonly broadcasts: BroadcastsQueries,
    private readonly queries: SplitQueries,
    private readonly mails: SplitMails,
    private readonly upkeep: BroadcastUpkeep,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** What is to be done now, behind `guard`, for a broadcast that runs. Safe to be called at any time, by several at once. */
  async advance(id: string, goesOn: () => boolean): Promise<void> {
    const tested = await this.running(id);
    if (tested === null) return;
    if (tested.decision === null) await this.judge(tested);
    else await this.mails.release(tested, goesOn);
  }

  /**
   * An arm that does harm sends no more: looks whether there is one while mails of the test are on their way, and gives
   * away what the stopped ones have not sent. Some of that is left until the end, also behind the decision: what a worker
   * held at the time and a relay has put off since.
   */
  async guard(id: string, goesOn: () => boolean): Promise<void> {
    const tested = await this.running(id);
    if (tested === null) return;
    if (tested.decision === null && tested.decideAt === null) await this.look(tested);
    const current = await this.running(id);
    if (current !== null) await this.mails.giveAway(current, goesOn);
  }

  private async running(id: string): Promise<Tested | null> {
    const broadcast = await this.broadcasts.find(id);
    if (broadcast?.state !== 'running' || broadcast.split === null) return null;
    return { ...broadcast, split: broadcast.split };
  }

  private async look(tested: Tested): Promise<void> {
    const at = lookAt(tested);
    const now = this.clock.now();
    if (at === null || at > now || !(await this.queries.isBeingTried(tested.id, tested.split))) return;
    const figures = await this.figures(tested, now);
    await this.dataSource.transaction(async (manager) => this.stop(manager, tested, figures));
  }

  /** Writes down what broke a guard rail. True when no arm is left that has not: then the owner is asked. */
  private async stop(
    manager: EntityManager,
    tested: Tested,
    figures: readonly ArmFigures[],
  ): Promise<boolean> {
    const { id, split } = tested;
    const current = await this.broadcasts.lock(manager, id);
    if (current?.state !== 'running' || current.decision !== null) return true;
    const now = this.clock.now();
    const found = newBreaches({ split, figures, stopped: current.stoppedArms });
    const stopped = [
      ...current.stoppedArms,
      ...found.map((breach) => ({ ...breach, at: now.toISOString() })),
    ];
    await this.queries.looked(manager, id, { stopped, now });
    if (found.length === 0) return false;
    return this.upkeep.armsStopped(manager, { ...tested, stoppedArms: stopped }, found);
  }

  private async judge(tested: Tested): Promise<void> {
    const { id, split, decideAt } = tested;
    const now = this.clock.now();
    if (decideAt === null) {
      const at = await this.decisionTime(tested, now);
      if (at !== null) await this.queries.setDecideAt(this.dataSource.manager, id, at);
      return;
    }
    if (decideAt > now) return;
    if (await this.upkeep.stoppedAsOverdue(id, decideAt)) return;
    const figures = await this.figures(tested, now);
    await this.dataSource.transaction(async (manager) => {
      if (await this.stop(manager, tested, figures)) return;
      const current = await this.broadcasts.lock(manager, id);
      const stopped = current?.stoppedArms ?? [];
      await this.queries.decide(manager, id, decisionOf({ split, figures, stopped }, now));
    });
  }

  /**
   * Null: not known yet. While none has been taken there is nothing to compare, so those that are put off or held are waited
   * for, as in an outage. What an outage has made late counts from when it was to go: the rest is as late, and the policy for
   * that is asked about it.
   */
  private async decisionTime({ id, split }: Tested, now: Date): Promise<Date | null> {
    if ((await this.queries.isBeingTried(id, split)) || (await this.queries.waits(id, split))) return null;
    const { isTaken, overdueSince } = await this.queries.tried(id);
    const from = overdueSince !== null && overdueSince < now ? overdueSince : now;
    const waits = isTaken || overdueSince === null;
    return waits ? new Date(from.getTime() + split.waitMinutes * MINUTE_MS) : from;
  }

  private async figures({ id, split }: Tested, until: Date): Promise<ArmFigures[]> {
    return this.queries.figures({ broadcastId: id, split, until });
  }
}
