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
import { OneAhead } from './one-ahead.js';
import { settlementOf } from './settlement.js';
import type { OutgoingMail } from './smtp-lane.transport.js';
import { SmtpLanes, type LaneSet, type TakenLane } from './smtp-lanes.service.js';

const BATCH = 256;

interface Prepared {
  message: ClaimedMessage;
  /** Or why it cannot be sent. */
  mail: OutgoingMail | SendOutcome;
  /** Its envelope may go out with the end of the mail before it. */
  follows: boolean;
}

interface Run {
  queue: ClaimedQueue;
  lanes: LaneSet;
  deadline: number;
  signal: AbortSignal;
  /** Set when no relay works or a lane has failed: what is claimed goes back untried. */
  stopped: boolean;
  accepted: number;
}

interface Way {
  run: Run;
  ahead: OneAhead<Prepared>;
  /** The lane that has begun with this mail. */
  taken: TakenLane | null;
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

  /** One lane's worth of mails, one after the other; bulk mails are composed while the one before waits at the barrier. */
  private async work(run: Run): Promise<void> {
    const ahead = new OneAhead(async () => this.prepare(run));
    try {
      let taken: TakenLane | null = null;
      for (let mail = await ahead.take(); mail !== null; mail = await ahead.take())
        taken = await this.sendOne(mail, { run, ahead, taken });
    } catch (error) {
      run.stopped = true;
      throw error;
    } finally {
      const left = await ahead.rest();
      if (left) this.#unsent.push(left.message);
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

  private async prepare(run: Run): Promise<Prepared | null> {
    while (this.goesOn(run)) {
      const message = await run.queue.next();
      if (message === null) return null;
      try {
        if (this.due.standsStill(message)) await this.due.release([message]);
        else return { message, mail: await this.composed(message), follows: await run.lanes.mayFollow() };
      } catch (error) {
        this.#unsent.push(message);
        throw error;
      }
    }
    return null;
  }

  /** The lane, when it has begun with the next mail, which must then follow on it; else null. */
  private async sendOne(prepared: Prepared, { run, ahead, taken: kept }: Way): Promise<TakenLane | null> {
    const { message } = prepared;
    let taken = kept;
    try {
      if (this.goesOn(run)) taken ??= await run.lanes.take();
      // No relay works, or it is time to stop: of a mail that was begun the relay has no more than the envelope.
      if (taken === null || !this.goesOn(run)) {
        run.stopped = true;
        this.#unsent.push(message);
        if (taken) run.lanes.put(taken);
        return null;
      }
      if (await this.sendOn(taken, prepared, { run, ahead })) return taken;
    } catch (error) {
      this.#unsent.push(message);
      if (taken) run.lanes.put(taken);
      throw error;
    }
    run.lanes.put(taken);
    return null;
  }

  /** True when the lane has begun with the next mail. */
  private async sendOn(
    taken: TakenLane,
    { message, mail }: Prepared,
    { run, ahead }: Omit<Way, 'taken'>,
  ): Promise<boolean> {
    const { lane } = taken;
    const startedMs = performance.now();
    const barrier = async (): Promise<boolean> => {
      const may = this.ledger.mayEnterData({ id: message.id, epoch: message.epoch });
      // A receipt does not wait behind a mail whose relay is slow: the next free lane takes it.
      if (run.queue.first?.class === 'marketing') ahead.begin();
      return may;
    };
    const following = (): OutgoingMail | null => {
      const next = ahead.ready;
      return next?.follows && !('kind' in next.mail) && this.goesOn(run) ? next.mail : null;
    };
    const outcome = 'kind' in mail ? mail : await lane.send(mail, barrier, following);
    // Not waited for: the ledger answers in order, so the next barrier of this lane comes after this end.
    void this.ledger.settle(
      settlementOf(message, outcome, {
        now: this.clock.now(),
        durationMs: performance.now() - startedMs,
        relay: lane.relay,
        tls: lane.tls,
      }),
    );
    const fit = await run.lanes.told(taken, outcome);
    await this.due.answered(message, outcome);
    if (outcome.kind === 'accepted') run.accepted++;
    else this.#logger.warn(`message ${message.id}: ${outcome.kind}`);
    return fit && lane.hasBegun;
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
