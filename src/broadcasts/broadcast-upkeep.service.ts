import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { BroadcastMailsQueries } from '../delivery/planning/broadcast-mails.queries.js';
import { REPORTS_ALERT } from '../delivery/guards/broadcast-pause.queries.js';
import { OverdueService } from '../delivery/waiting/overdue.service.js';
import { AlertsService } from '../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { DomainError } from '../values/domain-error.js';
import { breachText, type Breach } from '../experiments/guard-rails.js';
import { timesAfterPause } from './broadcast-batch.js';
import type { FrozenOffer } from './broadcast-offer.js';
import { checkOffers, writeOffers } from './broadcast-offers.queries.js';
import type { Broadcast } from './broadcast.js';
import { nextState, type BroadcastAction } from './broadcast-status.js';
import { BroadcastsQueries } from './broadcasts.queries.js';
import { armKey } from './split.js';
import { EXPIRY_MARGIN_MS, shiftAfterPause } from './timing.js';
import { HOUR_MS } from '../values/time-units.js';

const BATCH = 2_000;
const OVERDUE = 'broadcast:overdue:';
/** Of one whose sender was found wrong before its first mail. */
export const SENDER_FAULT_ALERT = 'broadcast:sender:';
/** Of one that breaks on what some of its readers have, found before its first mail; and of one of which not all was tried. */
export const VALUES_ALERT = 'broadcast:values:';
export const UNTRIED_ALERT = 'broadcast:untried:';
const ARM = 'broadcast:arm:';
const OFFER = 'broadcast:offer:';
const KINDS = [OVERDUE, SENDER_FAULT_ALERT, VALUES_ALERT, UNTRIED_ALERT, ARM, OFFER, REPORTS_ALERT];
/** How long after its end the owner is told of an arm that was stopped. */
const NEWS_MS = 7 * 86_400_000;

/** What happens to broadcasts beside the writing of their mails: they begin, end, open again, and come out of a pause. */
@Injectable()
export class BroadcastUpkeep {
  constructor(
    private readonly dataSource: DataSource,
    private readonly queries: BroadcastsQueries,
    private readonly mails: BroadcastMailsQueries,
    private readonly overdue: OverdueService,
    private readonly alerts: AlertsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Freezes the audience. One whose time passed long ago, because nothing ran, does not begin by itself: by the policy
   * for overdue mails it waits for the owner's word or is cancelled.
   */
  async begin(id: string): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      const broadcast = await this.queries.lock(manager, id);
      if (!broadcast || nextState(broadcast, 'begin') === null) return;
      const now = this.clock.now();
      if (await this.stopOverdue(manager, broadcast, broadcast.scheduledAt ?? now)) return;
      const offers = await this.offersAtBegin(manager, broadcast);
      if (offers === null) return;
      await this.queries.begin(manager, broadcast, now);
      await writeOffers(manager, id, { offers, now });
    });
  }

  /** What its mails offer, as it is sold now. Null: not any more, or not so; then it waits for the owner's word. */
  private async offersAtBegin(manager: EntityManager, broadcast: Broadcast): Promise<FrozenOffer[] | null> {
    try {
      return await checkOffers(manager, broadcast);
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      const { id, title } = broadcast;
      const { message: fault } = error;
      await this.queries.setState(manager, id, { state: 'paused', reason: fault, now: this.clock.now() });
      const message = `The broadcast "${title}" has not begun: what it offers has changed since it was started; ${fault}. Put the offer right and go on with it on the page Broadcasts, or cancel it.`;
      const facts = { broadcastId: id };
      await this.alerts.raise({ key: OFFER + id, severity: 'critical', message, facts }, manager);
      return null;
    }
  }

  /** The same question about what a running one was to do at `dueAt`. True: it does not. */
  async stoppedAsOverdue(id: string, dueAt: Date): Promise<boolean> {
    return this.dataSource.transaction(async (manager) => {
      const broadcast = await this.queries.lock(manager, id);
      return broadcast?.state !== 'running' || this.stopOverdue(manager, broadcast, dueAt);
    });
  }

  /** Nothing happens when it does not fit the state. */
  async move(id: string, action: BroadcastAction, reason: string | null = null): Promise<void> {
    const now = this.clock.now();
    await this.dataSource.transaction(async (manager) => {
      const broadcast = await this.queries.lock(manager, id);
      const state = broadcast && nextState(broadcast, action);
      if (!state) return;
      await this.queries.setState(manager, id, { state, reason, now });
      if (action === 'planned') await this.queries.endPlanning(manager, id, now);
    });
  }

  /** What was held during a pause. The claim may hold a few more after the resumption, so each run looks again. */
  async afterPause(id: string, goesOn: () => boolean): Promise<void> {
    const firstDueAt = await this.mails.firstHeld(id);
    const broadcast = firstDueAt === null ? null : await this.queries.find(id);
    if (broadcast?.state !== 'planning' && broadcast?.state !== 'running') return;
    const now = this.clock.now();
    const shiftMs = shiftAfterPause(broadcast, { firstDueAt, now });
    const batch = { limit: BATCH, shiftMs, marginMs: EXPIRY_MARGIN_MS, now };
    const isOnTheHour = (broadcast.timing?.local ?? null) !== null;
    const release = async (): Promise<number> =>
      isOnTheHour ? this.releaseOnTheHour(broadcast, { shiftMs, now }) : this.mails.release(id, batch);
    while (goesOn() && (await release()) === BATCH);
  }

  private async releaseOnTheHour(
    broadcast: Broadcast,
    { shiftMs, now }: { shiftMs: number; now: Date },
  ): Promise<number> {
    return this.dataSource.transaction(async (manager) => {
      const held = await this.mails.heldInPause(manager, broadcast.id, BATCH);
      const timed = held.map(({ id, ...mail }) => ({
        ...{ id, ...timesAfterPause(broadcast, { ...mail, now, shiftMs }) },
      }));
      await this.mails.letGo(manager, timed, now);
      return held.length;
    });
  }

  async cancelRest(id: string, goesOn: () => boolean): Promise<void> {
    let total = 0;
    for (let count = BATCH; goesOn() && count === BATCH; total += count)
      count = await this.mails.cancel(id, BATCH);
    if (total > 0) await this.overdue.heldEnded();
  }

  async hasOpenMails(id: string): Promise<boolean> {
    return this.queries.hasOpenMails(id);
  }

  /** The owner has given their word about these, or they are old news. */
  async closeAlerts(): Promise<void> {
    const old = this.clock.now().getTime() - NEWS_MS;
    for (const { key, facts } of await this.alerts.open()) {
      const kind = KINDS.find((prefix) => key.startsWith(prefix));
      if (kind === undefined) continue;
      const broadcast = await this.queries.find(key.slice(kind.length).split(':')[0] ?? '');
      const isOver =
        kind === ARM || kind === UNTRIED_ALERT || (kind === REPORTS_ALERT && facts['isPaused'] !== true)
          ? broadcast === null || (broadcast.endedAt !== null && broadcast.endedAt.getTime() < old)
          : broadcast?.state !== 'paused';
      if (isOver) await this.alerts.resolve(key);
    }
  }

  /**
   * Tells the owner of arms of a split test that have just broken a guard rail; the broadcast names all that were stopped.
   * True when no other is left: then nothing more goes before the owner's word.
   */
  async armsStopped(
    manager: EntityManager,
    { id, title, split, stoppedArms }: Broadcast,
    found: readonly Breach[],
  ): Promise<boolean> {
    const areAll = stoppedArms.length >= (split?.arms.length ?? 0);
    const reason =
      'each arm of the split test broke a guard rail; go on to send the rest the first arm, or cancel it';
    if (areAll) await this.queries.setState(manager, id, { state: 'paused', reason, now: this.clock.now() });
    for (const breach of found)
      await this.alerts.raise(
        {
          key: `${ARM}${id}:${breach.arm}`,
          severity: 'warning',
          message: `Broadcast "${title}": of its split test the arm “${armKey(breach.arm).toUpperCase()}” ${breachText(breach)}${areAll ? ' No arm is left, so it waits for your word on the page Broadcasts.' : ''}`,
          facts: { broadcastId: id, ...breach },
        },
        manager,
      );
    return areAll;
  }

  private async stopOverdue(manager: EntityManager, { id, title }: Broadcast, dueAt: Date): Promise<boolean> {
    const policy = await this.overdue.policyFor(dueAt);
    if (policy === null || policy === 'send') return false;
    const now = this.clock.now();
    const hours = Math.floor((now.getTime() - dueAt.getTime()) / HOUR_MS);
    const late = `its time passed ${hours} hours ago while nothing was sent`;
    if (policy === 'skip') {
      const reason = `overdue: ${late}, and the policy is to skip`;
      await this.queries.setState(manager, id, { state: 'cancelled', reason, now });
      return true;
    }
    const reason = `overdue: ${late}; go on to send it now, or cancel it`;
    await this.queries.setState(manager, id, { state: 'paused', reason, now });
    await this.alerts.raise(
      {
        key: `${OVERDUE}${id}`,
        severity: 'warning',
        message: `The broadcast "${title}" waits for your word: ${late}. Go on with it or cancel it on the page Broadcasts.`,
        facts: { broadcastId: id, dueAt },
      },
      manager,
    );
    return true;
  }
}
