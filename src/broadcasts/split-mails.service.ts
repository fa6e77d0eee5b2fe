import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { BroadcastMailsQueries } from '../delivery/planning/broadcast-mails.queries.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { dataOf, later, timeOfArm, timesAfterTest } from './broadcast-batch.js';
import { endsTold } from './broadcast-offer.js';
import { noteEnds, promisedAbout } from './broadcast-offers.queries.js';
import type { Broadcast } from './broadcast.js';
import { armInstead, givenArm, marksToGive } from './split.js';
import { SplitQueries } from './split.queries.js';

const BATCH = 2_000;

/** Mails of a split test that get other words than they were written with, while the broadcast runs. */
@Injectable()
export class SplitMails {
  constructor(
    private readonly dataSource: DataSource,
    private readonly queries: SplitQueries,
    private readonly mails: BroadcastMailsQueries,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Those who wait get the arm of the decision, at their time as if the broadcast had begun with it. */
  async release(broadcast: Broadcast, goesOn: () => boolean): Promise<void> {
    const { id, decision, armTemplateIds } = broadcast;
    const templateId = decision === null ? undefined : armTemplateIds?.[decision.arm];
    if (decision === null || templateId === undefined) return;
    await this.inBatches(id, goesOn, async (manager) => {
      const waiting = await this.mails.waitingForTest(manager, id, BATCH);
      const dataFor = await this.dataFor(manager, broadcast, waiting);
      const timed = waiting.map((mail) => {
        const times = timesAfterTest({ ...broadcast, decision }, mail);
        return { id: mail.id, ...times, data: dataFor(decision.arm, { ...mail, dueAt: times.dueAt }) };
      });
      await this.noteEnds(manager, broadcast, timed);
      await this.mails.giveWinner(manager, { templateId, mails: timed });
      return waiting.length;
    });
  }

  /**
   * What stopped arms have not sent yet goes with the words of the others, shared out by lot; it counts for none of them.
   * Where every arm is stopped it is called when the owner has let the first go on.
   */
  async giveAway(broadcast: Broadcast, goesOn: () => boolean): Promise<void> {
    const { id, split, stoppedArms, armTemplateIds } = broadcast;
    if (split === null || stoppedArms.length === 0) return;
    const stopped = new Set(stoppedArms.map(({ arm }) => arm));
    const arms = marksToGive({ split, stopped });
    await this.inBatches(id, goesOn, async (manager) => {
      const now = this.clock.now();
      const waiting = await this.mails.waitingOfArms(manager, id, { arms, limit: BATCH });
      const dataFor = await this.dataFor(manager, broadcast, waiting);
      const given = waiting.flatMap((mail) => {
        const arm = armInstead({ id, split, stopped }, mail.subscriberId);
        const templateId = armTemplateIds?.[arm];
        if (templateId === undefined) return [];
        const dueAt = timeOfArm(broadcast, arm, { ...mail, now });
        const data = dataFor(arm, { ...mail, dueAt });
        return [{ id: mail.id, arm: givenArm(arm), templateId, dueAt, data }];
      });
      await this.noteEnds(manager, broadcast, given);
      await this.mails.giveArms(manager, given);
      return given.length;
    });
  }

  /** What each of them prints with the words of an arm; null where no arm offers anything, so that nothing is to change. */
  private async dataFor(
    manager: EntityManager,
    broadcast: Broadcast,
    mails: readonly { subscriberId: string | null }[],
  ): Promise<
    (arm: number, mail: { subscriberId: string | null; dueAt: Date }) => Record<string, unknown> | null
  > {
    const { offers } = broadcast;
    if (offers === null) return () => null;
    // Not when it began: promises of before may have ended since.
    const now = this.clock.now();
    const subscriberIds = mails.flatMap(({ subscriberId }) => subscriberId ?? []);
    const promised = await promisedAbout(manager, offers, { subscriberIds, now });
    return (arm, { subscriberId, dueAt }) => {
      const slug = offers.find(({ place }) => place === arm)?.snapshot.slug ?? '';
      const own = promised.get(slug)?.get(subscriberId ?? '') ?? null;
      return dataOf(broadcast, arm, { promised: own, at: later(now, dueAt) });
    };
  }

  private async noteEnds(
    manager: EntityManager,
    { id, offers }: Broadcast,
    mails: readonly { data: Record<string, unknown> | null }[],
  ): Promise<void> {
    const printed = mails.map(({ data }) => data);
    await noteEnds(manager, id, endsTold(offers ?? [], printed));
  }

  /** Each batch in a transaction of its own, until one is not full, or the broadcast does not run any more. */
  private async inBatches(
    id: string,
    goesOn: () => boolean,
    write: (manager: EntityManager) => Promise<number>,
  ): Promise<void> {
    while (goesOn()) {
      const count = await this.dataSource.transaction(async (manager) =>
        (await this.queries.isRunning(manager, id)) ? write(manager) : 0,
      );
      if (count < BATCH) return;
    }
  }
}
