import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { Wake } from '../../infra/jobs/wake.js';
import { decodeIds, signIds, verifyToken } from '../../values/signed-token.js';
import { byQueue, prepareBatch, type MailBatch, type PreparedBatch } from '../message/mail-batch.js';
import type { PlannedMessage } from '../message/message.js';
import { noteArrival, noteArrivalOfOne } from '../ledger/message-evidence.queries.js';
import { messageIdFor } from '../message/message-id.js';
import { MessagesQueries, type RewrittenMail } from '../ledger/messages.queries.js';
import { moveWaiting, untilPlanned } from './new-address.queries.js';
import { groupsByMx, insertBatch } from './planning.queries.js';
import { groupOf, queueKey } from '../message/recipient-group.js';
import { addressHash } from '../../subscribers/address-hash.js';
import { domainOf } from '../../values/email-address.js';
import { SEND_DUE } from '../ledger/send-due.js';
import { SendHours } from '../waiting/send-hours.service.js';

const LINK_USED = 'a link in it';
/** A mail that came back or is asked about is of the last weeks. */
const DATA_DAYS = 30;
const FORGOTTEN_AT_ONCE = 5_000;

/** The only writer of `message`. A planned message is a row in the transaction of what caused it. */
@Injectable()
export class MessagesService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly queries: MessagesQueries,
    private readonly hours: SendHours,
    private readonly wake: Wake,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Returns the rows that are new; a mail that was planned before is left alone. Wakes the worker on commit. */
  async plan(
    manager: EntityManager,
    messages: PlannedMessage[],
  ): Promise<{ id: string; dedupeKey: string }[]> {
    if (messages.length === 0) return [];
    const domains = [...new Set(messages.map(({ address }) => domainOf(address)))];
    const groups = await groupsByMx(manager, domains);
    const rows = messages.map((message) => ({
      ...message,
      queueKey: queueKey(message.sender.email, groupOf(domainOf(message.address), groups)),
      messageIdHeader: messageIdFor(this.config.secretKey, message.dedupeKey, message.sender.email),
    }));
    const planned = await this.queries.insert(manager, rows, this.clock.now());
    await this.wake.notify(manager, SEND_DUE);
    return planned;
  }

  /** What was held for a reader's pause that is over goes out from now on: all of it, as the steps behind go on with this transaction. */
  async releasePaused(manager: EntityManager): Promise<void> {
    const now = this.clock.now();
    let total = 0;
    for (let released = -1; released !== 0; total += released)
      released = await this.queries.releasePaused(manager, now);
    if (total > 0) await this.wake.notify(manager, SEND_DUE);
  }

  /** What waits for these readers, whose time zone has changed, goes in its hours by their new clock. */
  async zonesChanged(manager: EntityManager, subscriberIds: readonly string[]): Promise<void> {
    await this.hours.changeZones(manager, subscriberIds, this.clock.now());
    await this.wake.notify(manager, SEND_DUE);
  }

  async cancelForEnrollments(
    manager: EntityManager,
    enrollmentIds: readonly string[],
    reason: string,
  ): Promise<void> {
    await this.queries.cancelForEnrollments(manager, enrollmentIds, reason);
  }

  /** Of the mails with these keys, those that have not begun to go. */
  async cancelPlanned(manager: EntityManager, dedupeKeys: readonly string[], reason: string): Promise<void> {
    if (dedupeKeys.length > 0) await this.queries.cancelPlanned(manager, dedupeKeys, reason);
  }

  /** Those of these mails that wait still go with other words. */
  async rewrite(manager: EntityManager, mails: readonly RewrittenMail[]): Promise<void> {
    if (mails.length > 0) await this.queries.rewrite(manager, mails);
  }

  /**
   * They are read at another address from now on: what waits goes there, see `moveWaiting`. Waits for what is being planned for
   * them; whoever plans may wait for the person, so the caller tries again after a deadlock.
   */
  async readdress(
    manager: EntityManager,
    subscriberId: string,
    { before, address, addressHash }: { before: Buffer; address: string; addressHash: Buffer },
  ): Promise<void> {
    const domain = domainOf(address);
    const group = groupOf(domain, await groupsByMx(manager, [domain]));
    await untilPlanned(manager, subscriberId);
    await moveWaiting(manager, { subscriberId, before, address, addressHash, group });
    await this.wake.notify(manager, SEND_DUE);
  }

  /** The person is erased: what waits is not sent, and no address or personal data stays in what was. */
  async forget(manager: EntityManager, subscriberId: string): Promise<void> {
    await this.queries.forget(manager, subscriberId);
  }

  /** Before somebody is erased: what programs have sent to their address when they were no subscriber is theirs. */
  async adopt(
    manager: EntityManager,
    { subscriberId, emailKey }: { subscriberId: string; emailKey: string },
  ): Promise<void> {
    const hash = addressHash(this.config.secretKey, emailKey);
    await this.queries.adopt(manager, { subscriberId, addressHash: hash });
  }

  /** What programs have given for mails that ended long ago; the rest of their rows stays. */
  async forgetOldData(): Promise<void> {
    while ((await this.queries.forgetData(DATA_DAYS, FORGOTTEN_AT_ONCE)) === FORGOTTEN_AT_ONCE);
  }

  async nextDueAt(): Promise<Date | null> {
    return this.queries.nextDueAt();
  }

  messageToken(messageId: string): string {
    return signIds(this.config.secretKey, 'message', [messageId]);
  }

  /** The message a personal link of ours came from; null for a forged or foreign token. */
  messageFromToken(token: string): string | null {
    const payload = verifyToken(this.config.secretKey, 'message', token);
    return payload === null ? null : (decodeIds(payload, 1)?.[0] ?? null);
  }

  /**
   * As `plan`, for many mails that have most in common. Returns how many of them are new. The caller's transaction holds
   * the enrollments or the broadcast they come from.
   */
  async planBatch(manager: EntityManager, batch: PreparedBatch): Promise<number> {
    const { mails, times } = batch;
    if (mails.shared.length === 0) return 0;
    const groups = await groupsByMx(manager, batch.domains);
    const queued = byQueue(await this.hours.number(batch.shared), batch, groups);
    const count = await insertBatch(manager, { ...queued, mails, times, now: this.clock.now() });
    await this.wake.notify(manager, SEND_DUE);
    return count;
  }

  /** The part of `planBatch` that needs no database: done before a transaction, it does not keep one waiting. */
  prepareBatch(batch: MailBatch): PreparedBatch {
    return prepareBatch(this.config.secretKey, batch);
  }

  /**
   * Something came back that only a mail that was taken can cause: a bounce, a complaint, a click. An `unknown` one
   * becomes `accepted`; any other state stays. True when this changed anything.
   */
  async noteArrival(manager: EntityManager, messageId: string, evidence: string): Promise<boolean> {
    return noteArrival(manager, { id: messageId, evidence, now: this.clock.now() });
  }

  /**
   * A page of ours was asked for by a link that only this mail has, be it by a machine: the mail came. Nothing is kept of
   * one whose end is known, so it is no tracking and asks for no consent.
   */
  async linkUsed(messageId: string): Promise<void> {
    const now = this.clock.now();
    await noteArrival(this.dataSource.manager, { id: messageId, evidence: LINK_USED, now, byLink: true });
  }

  /** As `linkUsed`, of a link that all mails with these keys have: proof where only one of them may have been taken. */
  async linkUsedOf(
    dedupeKeys: readonly string[],
    manager: EntityManager = this.dataSource.manager,
  ): Promise<void> {
    const now = this.clock.now();
    await noteArrivalOfOne(manager, { dedupeKeys, evidence: LINK_USED, now, byLink: true });
  }
}
