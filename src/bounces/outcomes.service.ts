import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { BroadcastGuard } from '../delivery/guards/broadcast-guard.service.js';
import type { ReportedMessage } from '../delivery/ledger/message-evidence.queries.js';
import { HARD_REASONS } from '../delivery/replies/reply-reason.js';
import { refusedFor, SENDER_REFUSALS, SENDER_REFUSED_ALERT } from '../delivery/replies/sender-refusal.js';
import { AlertsService } from '../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { LeaveService } from '../subscribers/leave.service.js';
import { UndeliverableService } from '../subscribers/undeliverable.service.js';
import { BouncesQueries } from './bounces.queries.js';
import { LEAVING_TYPES } from './feedback-report.js';
import type { Finding } from './judged-mail.js';
import { DAY_MS } from '../values/time-units.js';

/** Five mails in a row within a month that could not be delivered: no more marketing, until the reader confirms anew. */
const SOFT_LIMIT = 5;
const SOFT_DAYS = 30;
/** A domain may be unreachable for a weekend. */
const HOST_UNKNOWN_DAYS = 3;

/** What a report that is surely about a mail of ours does. Everything in the caller's transaction. */
@Injectable()
export class OutcomesService {
  constructor(
    private readonly bounces: BouncesQueries,
    private readonly undeliverable: UndeliverableService,
    private readonly leaving: LeaveService,
    private readonly guard: BroadcastGuard,
    private readonly alerts: AlertsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** The bounce has been written down already and counts. */
  async apply(manager: EntityManager, message: ReportedMessage, found: Finding): Promise<void> {
    const { broadcastId } = message;
    const isComplaint = found.verdict === 'complaint';
    if (isComplaint || (await this.isGone(manager, message, found)))
      await this.giveUp(manager, message, found, whyGone(found));
    if (found.reason === 'unsubscribed') await this.leaving.leaveByMail(manager, message, 'provider');
    if (LEAVING_TYPES.has(found.reason)) await this.leaving.leaveByMail(manager, message, 'report');
    if (found.verdict === 'sender') await this.alertSender(manager, message, found);
    const isSoft = found.verdict === 'soft' && !HARD_REASONS.includes(found.reason);
    if (broadcastId !== null && found.verdict !== 'ignore' && !isSoft) {
      await this.guard.reported(manager, broadcastId);
    }
  }

  /**
   * For a report that the reader themselves may have written: no more than the unsubscribe link would do. It says nothing about
   * the broadcast, the sequence or the sender by itself, and only together with those of many readers that the sender is refused.
   */
  async leave(manager: EntityManager, message: ReportedMessage, { verdict, reason }: Finding): Promise<void> {
    if (reason === 'unsubscribed') await this.leaving.leaveByMail(manager, message, 'provider');
    else if (
      verdict === 'complaint' ||
      LEAVING_TYPES.has(reason) ||
      (verdict === 'hard' && reason !== 'host_unknown')
    )
      await this.leaving.leaveByMail(manager, message, 'report');
    if (verdict === 'sender' && message.broadcastId !== null)
      await this.guard.reported(manager, message.broadcastId);
  }

  private async giveUp(
    manager: EntityManager,
    { addressHash, subscriberId }: ReportedMessage,
    { reason }: Finding,
    why: 'complaint' | 'hard_bounce' | 'soft_bounce',
  ): Promise<void> {
    const source = `${why === 'complaint' ? 'complaint' : 'bounce'}: ${reason}`;
    await this.undeliverable.giveUp(manager, why, { addressHash, subscriberId, source });
  }

  private async isGone(manager: EntityManager, message: ReportedMessage, found: Finding): Promise<boolean> {
    const { addressHash, subscriberId } = message;
    const about = { addressHash, subscriberId, since: this.daysAgo(SOFT_DAYS), now: this.clock.now() };
    if (found.verdict === 'soft') return (await this.bounces.softInARow(manager, about)) >= SOFT_LIMIT;
    if (found.verdict !== 'hard') return false;
    if (found.reason !== 'host_unknown') return true;
    const first = await this.bounces.hostUnknownSince(manager, about);
    return first !== null && first <= this.daysAgo(HOST_UNKNOWN_DAYS);
  }

  /** About us: the owner hears of it, the person is left alone. */
  private async alertSender(
    manager: EntityManager,
    { queueKey, broadcastId, state }: ReportedMessage,
    { reason, status, replyCode }: Finding,
  ): Promise<void> {
    const domain = queueKey.split('|')[0] ?? '';
    // One that came back later, from a server behind the relay, says nothing of those that are held.
    const why = SENDER_REFUSALS.find((one) => refusedFor(one) === reason);
    const held =
      state === 'held' || (why !== undefined && (await this.bounces.holdsFor(manager, why, domain)));
    const release = held
      ? '. They are held and not tried again by themselves: send them on the page Sending when the cause is mended; "npm run wellspring -- doctor" looks at SPF, DKIM and DMARC.'
      : '';
    await this.alerts.raise(
      {
        key: `${SENDER_REFUSED_ALERT}${domain}:${reason}`,
        severity: 'warning',
        message: `Mails from ${domain} are ${reason === 'fraud' ? 'reported as' : 'refused because of the sender:'} ${reason.replaceAll('_', ' ')}${release}`,
        facts: { reason, status, replyCode, broadcastId, held },
      },
      manager,
    );
  }

  private daysAgo(days: number): Date {
    return new Date(this.clock.now().getTime() - days * DAY_MS);
  }
}

function whyGone({ verdict }: Finding): 'complaint' | 'hard_bounce' | 'soft_bounce' {
  if (verdict === 'complaint') return 'complaint';
  return verdict === 'soft' ? 'soft_bounce' : 'hard_bounce';
}
