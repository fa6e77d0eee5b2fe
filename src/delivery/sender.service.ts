import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { CLOCK, type Clock } from '../infra/clock.js';
import { DomainError } from '../values/domain-error.js';
import { MailRenderer } from './mail-renderer.service.js';
import { retryDelayMinutes, type ClaimedMessage, type SendOutcome } from './message.js';
import { MessagesQueries, type Settlement } from './messages.queries.js';
import { SmtpTransport, type SmtpLane } from './smtp.transport.js';

/** Mails on the way at the same time; after a crash at most this many are unknown. */
const LANES = 8;
const BATCH = 64;
const RELAY_DOWN_MINUTES = 1;
/** About 45 seconds of tries: an accepted mail whose row is never settled would end as unknown. */
const SETTLE_TRIES = 12;
const LONGEST_SETTLE_PAUSE_MS = 5_000;

interface Run {
  deadline: number;
  signal: AbortSignal;
  /** Set when the relay cannot be reached or a lane has failed: what is claimed goes back untried. */
  stopped: boolean;
  accepted: number;
}

/**
 * Hands due messages to the relay. Each lane settles a message before it takes the next, which keeps what a crash can
 * leave unclear at one message per lane.
 */
@Injectable()
export class SenderService {
  readonly #owner = randomUUID();
  readonly #logger = new Logger(SenderService.name);

  constructor(
    private readonly messages: MessagesQueries,
    private readonly renderer: MailRenderer,
    private readonly transport: SmtpTransport,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Sends until nothing is due, the time is up (`deadline` in epoch milliseconds of the clock), the relay is out of
   * reach, or `signal` asks to stop: then mails on the way are finished and no other is begun. Safe to run twice at
   * once. Returns how many were accepted.
   */
  async sendDue({ deadline, signal }: { deadline: number; signal: AbortSignal }): Promise<number> {
    const run: Run = { deadline, signal, stopped: false, accepted: 0 };
    const lanes = Array.from({ length: LANES }, () => this.transport.lane());
    try {
      while (this.goesOn(run)) {
        const { taken, messages } = await this.messages.claim(this.#owner, BATCH, this.clock.now());
        if (taken === 0) break;
        // All lanes are waited for even if one fails: closing a lane in the middle of a body would write into it.
        const ends = await Promise.allSettled(lanes.map(async (lane) => this.work(lane, messages, run)));
        await this.messages.release(messages);
        for (const end of ends) if (end.status === 'rejected') throw end.reason;
      }
    } finally {
      for (const lane of lanes) lane.close();
    }
    return run.accepted;
  }

  private goesOn({ signal, stopped, deadline }: Run): boolean {
    return !signal.aborted && !stopped && this.clock.now().getTime() < deadline;
  }

  /** Takes messages from the front of the queue that all lanes share. */
  private async work(lane: SmtpLane, queue: ClaimedMessage[], run: Run): Promise<void> {
    try {
      while (this.goesOn(run)) {
        const message = queue.shift();
        if (!message) return;
        const outcome = await this.sendOne(lane, message);
        if (outcome.kind === 'accepted') run.accepted++;
        if (outcome.kind === 'not_sent' && outcome.stage === 'connect') run.stopped = true;
      }
    } catch (error) {
      run.stopped = true;
      throw error;
    }
  }

  private async sendOne(lane: SmtpLane, message: ClaimedMessage): Promise<SendOutcome> {
    const { id, epoch } = message;
    const startedMs = performance.now();
    const outcome = await this.attempt(lane, message);
    const durationMs = performance.now() - startedMs;
    if (outcome.kind !== 'accepted') this.#logger.warn(`message ${id}: ${outcome.kind}`);
    await this.persist(async () =>
      outcome.kind === 'held'
        ? this.messages.settleHeld(id, epoch)
        : this.messages.settle({ ...this.settlement(message, outcome), durationMs }),
    );
    return outcome;
  }

  private async attempt(lane: SmtpLane, message: ClaimedMessage): Promise<SendOutcome> {
    let raw: Buffer;
    try {
      raw = await this.transport.bytes(message, await this.renderer.render(message));
    } catch (error) {
      const reason = (error instanceof Error ? error.message : String(error)).slice(0, 500);
      if (error instanceof DomainError) return { kind: 'unsendable', reason };
      // It is tried again, as the cause may be the database or a limit under load.
      return { kind: 'not_sent', stage: 'render', reason };
    }
    const envelope = { from: message.sender.email, to: message.address };
    return lane.send(envelope, raw, async () => this.messages.enterData(message.id, message.epoch));
  }

  /** The relay has spoken: the database being away for a moment must not make that unknown. */
  private async persist(write: () => Promise<void>): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await write();
        return;
      } catch (error) {
        if (tries === SETTLE_TRIES) throw error;
        await sleep(Math.min(50 * 2 ** tries, LONGEST_SETTLE_PAUSE_MS));
      }
    }
  }

  private settlement(
    { id, epoch, attempt }: ClaimedMessage,
    outcome: Exclude<SendOutcome, { kind: 'held' }>,
  ): Omit<Settlement, 'durationMs'> {
    const nothing = { reason: null, dueAt: null, code: null, reply: null, stage: 'done', acceptedAt: null };
    const base = { id, epoch, ...nothing, countsAsAttempt: true };
    switch (outcome.kind) {
      case 'accepted': {
        const { code, reply } = outcome;
        return {
          ...base,
          state: 'accepted',
          code,
          reply: reply.slice(0, 500),
          acceptedAt: this.clock.now(),
        };
      }
      case 'unknown':
        return { ...base, state: 'unknown', reason: outcome.reason, stage: 'body' };
      case 'unsendable':
        return { ...base, state: 'rejected', reason: outcome.reason, stage: 'render' };
      case 'refused': {
        const { stage, code, reply } = outcome;
        if (outcome.permanent)
          return { ...base, state: 'rejected', reason: 'refused by the relay', stage, code, reply };
        return { ...base, ...this.later(attempt, 'the relay asked to try later'), stage, code, reply };
      }
      case 'not_sent':
        return { ...base, ...this.unsent(attempt, outcome), stage: outcome.stage };
      default:
        return outcome satisfies never;
    }
  }

  /** The relay out of reach says nothing about the mail: it waits a minute, for as long as it takes. */
  private unsent(
    attempt: number,
    { stage, reason }: { stage: string; reason: string },
  ): Pick<Settlement, 'state' | 'reason' | 'dueAt' | 'countsAsAttempt'> {
    if (stage !== 'connect') return { ...this.later(attempt, reason), countsAsAttempt: true };
    return { state: 'ready', reason, dueAt: this.inMinutes(RELAY_DOWN_MINUTES), countsAsAttempt: false };
  }

  private later(
    attempt: number,
    reason: string,
  ): { state: 'ready' | 'expired'; reason: string; dueAt: Date | null } {
    const minutes = retryDelayMinutes(attempt);
    if (minutes === null) return { state: 'expired', reason, dueAt: null };
    return { state: 'ready', reason, dueAt: this.inMinutes(minutes) };
  }

  private inMinutes(minutes: number): Date {
    return new Date(this.clock.now().getTime() + minutes * 60_000);
  }
}
