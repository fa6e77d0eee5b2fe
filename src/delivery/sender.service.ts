import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { CLOCK, type Clock } from '../infra/clock.js';
import { DomainError } from '../values/domain-error.js';
import { ClaimedQueue } from './claimed-queue.js';
import { SigningRefused } from './dkim.service.js';
import { DueMessages } from './due-messages.service.js';
import { Ledger } from './ledger.service.js';
import { MailComposer } from './mail-composer.service.js';
import type { ClaimedMessage, SendOutcome } from './message.js';
import { settlementOf } from './settlement.js';
import type { OutgoingMail } from './smtp-lane.transport.js';
import { SmtpLanes, type LaneSet } from './smtp-lanes.service.js';

const BATCH = 256;

interface Run {
  queue: ClaimedQueue;
  lanes: LaneSet;
  deadline: number;
  signal: AbortSignal;
  /** Set when no relay works or a lane has failed: what is claimed goes back untried. */
  stopped: boolean;
  accepted: number;
}

/**
 * Hands due messages to the relays over many lanes at once. A lane tells the ledger the end of a mail and takes the next
 * one's envelope to the relay meanwhile, but its body waits at the barrier until that end is durable: what a crash can
 * leave unclear is one message per lane.
 */
@Injectable()
export class SenderService {
  readonly #owner = randomUUID();
  readonly #logger = new Logger(SenderService.name);
  /** Claimed, not sent, and not given back: the database was away. Else they would wait for their lease to run out. */
  #unsent: ClaimedMessage[] = [];

  constructor(
    private readonly due: DueMessages,
    private readonly ledger: Ledger,
    private readonly composer: MailComposer,
    private readonly lanes: SmtpLanes,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Sends until nothing may go any more, the time is up (`deadline` in epoch milliseconds of the clock), no relay is in
   * reach, or `signal` asks to stop: then mails on the way are finished and no other is begun. Safe to run twice at
   * once. Returns how many were accepted.
   */
  async sendDue({ deadline, signal }: { deadline: number; signal: AbortSignal }): Promise<number> {
    await this.giveBackUnsent();
    if (!(await this.due.maySend()) || !(await this.lanes.anyUsable())) return 0;
    const queue = new ClaimedQueue(
      async () => this.due.claim(this.#owner, BATCH),
      async (milliseconds) => sleep(milliseconds, undefined, { signal }).catch(() => undefined),
      () => this.goesOn(run),
    );
    const run: Run = { queue, lanes: this.lanes.open(), deadline, signal, stopped: false, accepted: 0 };
    // All are waited for even if one fails: closing a lane in the middle of a body would write into it.
    const ends = await Promise.allSettled(Array.from({ length: run.lanes.size }, async () => this.work(run)));
    await this.ledger.settled();
    run.lanes.close();
    this.#unsent.push(...(await queue.rest()));
    await this.giveBackUnsent();
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    return run.accepted;
  }

  private goesOn({ signal, stopped, deadline }: Run): boolean {
    return !signal.aborted && !stopped && this.clock.now().getTime() < deadline;
  }

  private async work(run: Run): Promise<void> {
    try {
      while (this.goesOn(run)) {
        const message = await run.queue.next();
        if (!message) return;
        await this.sendOne(message, run).catch((error: unknown) => {
          this.#unsent.push(message);
          throw error;
        });
      }
    } catch (error) {
      run.stopped = true;
      throw error;
    }
  }

  /** Only what is still claimed and not begun goes back, so what did end in between is safe in the list. */
  private async giveBackUnsent(): Promise<void> {
    const messages = this.#unsent.splice(0);
    try {
      await this.due.release(messages);
    } catch (error) {
      this.#unsent.push(...messages);
      throw error;
    }
  }

  private async sendOne(message: ClaimedMessage, run: Run): Promise<void> {
    if (this.due.standsStill(message)) return this.due.release([message]);
    const startedMs = performance.now();
    const mail = await this.composed(message);
    const taken = await run.lanes.take();
    if (taken === null) {
      run.stopped = true;
      return this.due.release([message]);
    }
    const { lane } = taken;
    const outcome =
      'kind' in mail
        ? mail
        : await lane.send(mail, async () =>
            this.ledger.mayEnterData({ id: message.id, epoch: message.epoch }),
          );
    // Not waited for: the ledger answers in order, so the next barrier of this lane comes after this end.
    void this.ledger.settle(
      settlementOf(message, outcome, {
        now: this.clock.now(),
        durationMs: performance.now() - startedMs,
        relay: lane.relay,
        tls: lane.tls,
      }),
    );
    await run.lanes.put(taken, outcome);
    await this.due.answered(message, outcome);
    if (outcome.kind === 'accepted') run.accepted++;
    else this.#logger.warn(`message ${message.id}: ${outcome.kind}`);
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
