import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { AlertsService } from '../../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { Wake } from '../../infra/jobs/wake.js';
import { SEND_DUE } from '../ledger/send-due.js';
import {
  HeldQueries,
  type HeldBatch,
  type HeldCount,
  type HeldFilter,
  type HeldPart,
  type PausedBroadcast,
} from './held.queries.js';
import { OVERDUE } from '../message/overdue.js';
import { SequencePauses, type SequencePause } from './sequence-pauses.service.js';
import { OVERDUE_ALERT } from './overdue.service.js';
import { unknownOfSequences, type UnknownOfSequence } from '../ledger/unknown-mails.queries.js';
import { SENDER_REFUSED_ALERT, SENDER_REFUSALS } from '../replies/sender-refusal.js';

type Change = (manager: EntityManager, part: HeldPart, afterId: string) => Promise<HeldBatch>;

/** Mails that wait for the owner's decision: after an outage, after a restored backup, or because they are unclear. */
@Injectable()
export class HeldService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly queries: HeldQueries,
    private readonly wake: Wake,
    private readonly alerts: AlertsService,
    private readonly pauses: SequencePauses,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async counts(): Promise<{
    held: HeldCount[];
    unknown: number;
    unknownOfSequences: UnknownOfSequence[];
    pausedSequences: SequencePause[];
    pausedBroadcasts: PausedBroadcast[];
  }> {
    const [held, unknown, ofSequences, pausedSequences, pausedBroadcasts] = await Promise.all([
      this.queries.counts(),
      this.queries.unknownCount(),
      unknownOfSequences(this.dataSource.manager, this.clock.now()),
      this.pauses.all(),
      this.queries.pausedBroadcasts(),
    ]);
    return { held, unknown, unknownOfSequences: ofSequences, pausedSequences, pausedBroadcasts };
  }

  /** How many mails of a broadcast wait for the owner's decision. */
  async countOf(broadcastId: string): Promise<number> {
    return this.queries.countOf(broadcastId);
  }

  /** Every held mail that matches goes out after all. Returns how many; those that are being changed are left. */
  async release(filter: HeldFilter): Promise<number> {
    return this.decide(filter, async (manager, part, afterId) => {
      const batch = await this.queries.release(manager, part, afterId, this.clock.now());
      if (batch.count > 0) await this.wake.notify(manager, SEND_DUE);
      return batch;
    });
  }

  /** None of the held mails that match will ever go out. */
  async cancel(filter: HeldFilter): Promise<number> {
    return this.decide(filter, async (manager, part, afterId) => this.queries.cancel(manager, part, afterId));
  }

  /**
   * What was refused because of the sender waits for the owner, who could not send it to somebody that may not be written to
   * any more. Called hourly.
   */
  async endSuppressed(): Promise<void> {
    let ended: number;
    do ended = await this.dataSource.transaction(async (manager) => this.queries.endSuppressed(manager));
    while (ended > 0);
  }

  /** What was of use until a time that has passed: nobody can send it any more, so nobody is asked about it. Called hourly. */
  async endExpired(): Promise<void> {
    let total = 0;
    for (let ended = -1; ended !== 0; total += ended)
      ended = await this.dataSource.transaction(async (manager) =>
        this.queries.endExpired(manager, this.clock.now()),
      );
    if (total > 0) await this.closeAlerts();
  }

  private async decide(filter: HeldFilter, change: Change): Promise<number> {
    let total = 0;
    for (const part of await this.queries.parts(filter)) total += await this.inBatches(part, change);
    await this.closeAlerts(total > 0);
    return total;
  }

  /** `any`: whether any mail was changed. */
  private async closeAlerts(any = true): Promise<void> {
    const left = await this.queries.waitingFor([OVERDUE, ...SENDER_REFUSALS]);
    if (!left.has(OVERDUE)) await this.alerts.resolve(OVERDUE_ALERT);
    if (any && !SENDER_REFUSALS.some((reason) => left.has(reason))) await this.closeSenderAlerts();
  }

  /**
   * Each mail once, by their ids: workers may hold those of the last batch again while the next is changed, which would
   * else never end. Those wait for the owner's next word.
   */
  private async inBatches(part: HeldPart, change: Change): Promise<number> {
    let total = 0;
    let afterId: string | null = '0';
    while (afterId !== null) {
      const after: string = afterId;
      const batch = await this.dataSource.transaction(async (manager) => change(manager, part, after));
      total += batch.count;
      afterId = batch.lastId;
    }
    return total;
  }

  /** The owner has decided about all that was refused because of the sender; the next refusal tells them again. */
  private async closeSenderAlerts(): Promise<void> {
    for (const { key, facts } of await this.alerts.open())
      if (key.startsWith(SENDER_REFUSED_ALERT) && facts['held'] === true) await this.alerts.resolve(key);
  }
}
