import { randomUUID } from 'node:crypto';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { CLOCK, type Clock } from '../infra/clock.js';
import { DomainError } from '../values/domain-error.js';
import { ClaimedQueue } from './claimed-queue.js';
import { passing } from './delivery-probe.js';
import { SigningRefused } from './dkim.service.js';
import { LedgerQueries } from './ledger.queries.js';
import { Ledger } from './ledger.service.js';
import { MailComposer } from './mail-composer.service.js';
import type { ClaimedMessage, SendOutcome } from './message.js';
import { relayTrouble, settlementOf } from './settlement.js';
import type { OutgoingMail, SmtpLane } from './smtp-lane.transport.js';
import { SmtpLanes } from './smtp-lanes.service.js';

const BATCH = 128;

interface Run {
  queue: ClaimedQueue;
  deadline: number;
  signal: AbortSignal;
  /** Set when the relay cannot be reached or a lane has failed: what is claimed goes back untried. */
  stopped: boolean;
  accepted: number;
}

/**
 * Hands due messages to the relay over many lanes at once. A lane tells the ledger the end of a mail and takes the next
 * one's envelope to the relay meanwhile, but its body waits at the barrier until that end is durable: what a crash can
 * leave unclear is one message per lane.
 */
@Injectable()
export class SenderService {
  readonly #owner = randomUUID();
  readonly #logger = new Logger(SenderService.name);

  constructor(
    private readonly queries: LedgerQueries,
    private readonly ledger: Ledger,
    private readonly composer: MailComposer,
    private readonly lanes: SmtpLanes,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Sends until nothing is due, the time is up (`deadline` in epoch milliseconds of the clock), the relay is out of
   * reach, or `signal` asks to stop: then mails on the way are finished and no other is begun. Safe to run twice at
   * once. Returns how many were accepted.
   */
  async sendDue({ deadline, signal }: { deadline: number; signal: AbortSignal }): Promise<number> {
    const queue = new ClaimedQueue(async () => this.claim());
    const run: Run = { queue, deadline, signal, stopped: false, accepted: 0 };
    const lanes = this.lanes.open();
    // All lanes are waited for even if one fails: closing a lane in the middle of a body would write into it.
    const ends = await Promise.allSettled(lanes.map(async (lane) => this.work(lane, run)));
    await this.ledger.settled();
    await this.queries.release(await queue.rest());
    for (const lane of lanes) lane.close();
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    return run.accepted;
  }

  private async claim(): Promise<{ taken: number; messages: ClaimedMessage[] }> {
    const lanes = await this.queries.lanes();
    const claimed = await this.queries.claim(this.#owner, {
      lanes: lanes.map((laneKey) => ({ laneKey, limit: BATCH })),
      limit: BATCH,
      now: this.clock.now(),
      overdue: { overdueBefore: null, action: null },
    });
    for (const { id } of claimed.messages) passing('claimed', id);
    return claimed;
  }

  private goesOn({ signal, stopped, deadline }: Run): boolean {
    return !signal.aborted && !stopped && this.clock.now().getTime() < deadline;
  }

  private async work(lane: SmtpLane, run: Run): Promise<void> {
    try {
      while (this.goesOn(run)) {
        const message = await run.queue.next();
        if (!message) return;
        const outcome = await this.sendOne(lane, message);
        if (outcome.kind === 'accepted') run.accepted++;
        if (relayTrouble(outcome) === 'connect' || relayTrouble(outcome) === 'auth') run.stopped = true;
      }
    } catch (error) {
      run.stopped = true;
      throw error;
    }
  }

  private async sendOne(lane: SmtpLane, message: ClaimedMessage): Promise<SendOutcome> {
    const startedMs = performance.now();
    const mail = await this.composed(message);
    const outcome =
      'kind' in mail
        ? mail
        : await lane.send(mail, async () =>
            this.ledger.mayEnterData({ id: message.id, epoch: message.epoch }),
          );
    if (outcome.kind !== 'accepted') this.#logger.warn(`message ${message.id}: ${outcome.kind}`);
    // Not waited for: the ledger answers in order, so the next barrier of this lane comes after this end.
    void this.ledger.settle(
      settlementOf(message, outcome, {
        now: this.clock.now(),
        durationMs: performance.now() - startedMs,
        relay: lane.relay,
        tls: lane.tls,
      }),
    );
    return outcome;
  }

  private async composed(message: ClaimedMessage): Promise<OutgoingMail | SendOutcome> {
    try {
      return await this.composer.compose(message);
    } catch (error) {
      const reason = (error instanceof Error ? error.message : String(error)).slice(0, 500);
      if (error instanceof DomainError) return { kind: 'unsendable', reason };
      if (error instanceof SigningRefused) return { kind: 'not_sent', stage: 'signing', reason };
      // It is tried again, as the cause may be the database or a limit under load.
      return { kind: 'not_sent', stage: 'render', reason };
    }
  }
}
