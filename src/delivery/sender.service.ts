import { randomUUID } from 'node:crypto';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { CLOCK, type Clock } from '../infra/clock.js';
import { MailRenderer } from './mail-renderer.service.js';
import { retryDelayMinutes, type ClaimedMessage, type SendOutcome } from './message.js';
import { MessagesQueries, type Settlement } from './messages.queries.js';
import { SmtpTransport, type SmtpLane } from './smtp.transport.js';

/** Mails on the way at the same time; after a crash at most this many are unknown. */
const LANES = 8;
const BATCH = 64;

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

  /** Sends until nothing is due, the time is up, or `signal` asks to stop. Returns how many were accepted. */
  async sendDue({ deadline, signal }: { deadline: number; signal: AbortSignal }): Promise<number> {
    const lanes = Array.from({ length: LANES }, () => this.transport.lane());
    let accepted = 0;
    try {
      while (!signal.aborted && this.clock.now().getTime() < deadline) {
        const batch = await this.messages.claim(this.#owner, BATCH, this.clock.now());
        if (batch.length === 0) break;
        const queue = batch.values();
        const counts = await Promise.all(lanes.map(async (lane) => this.work(lane, queue)));
        accepted += counts.reduce((sum, count) => sum + count, 0);
      }
    } finally {
      for (const lane of lanes) lane.close();
    }
    return accepted;
  }

  private async work(
    lane: SmtpLane,
    queue: Iterator<ClaimedMessage> & Iterable<ClaimedMessage>,
  ): Promise<number> {
    let accepted = 0;
    for (const message of queue) {
      const outcome = await this.sendOne(lane, message);
      if (outcome.kind === 'accepted') accepted++;
    }
    return accepted;
  }

  private async sendOne(lane: SmtpLane, message: ClaimedMessage): Promise<SendOutcome> {
    const { id, epoch } = message;
    const outcome = await this.attempt(lane, message);
    if (outcome.kind === 'held') await this.messages.settleHeld(id, epoch);
    else await this.messages.settle(this.settlement(message, outcome));
    if (outcome.kind !== 'accepted') this.#logger.warn(`message ${id}: ${outcome.kind}`);
    return outcome;
  }

  private async attempt(lane: SmtpLane, message: ClaimedMessage): Promise<SendOutcome> {
    try {
      const raw = await this.transport.bytes(message, await this.renderer.render(message));
      const envelope = { from: message.sender.email, to: message.address };
      return await lane.send(envelope, raw, async () => this.messages.enterData(message.id, message.epoch));
    } catch (error) {
      // Nothing was sent yet: rendering failed. It is tried again, as the cause may be a limit under load.
      return {
        kind: 'not_sent',
        stage: 'render',
        reason: error instanceof Error ? error.message.slice(0, 500) : String(error),
      };
    }
  }

  private settlement(
    { id, epoch, attempt }: ClaimedMessage,
    outcome: Exclude<SendOutcome, { kind: 'held' }>,
  ): Settlement {
    const base = {
      id,
      epoch,
      reason: null,
      dueAt: null,
      code: null,
      reply: null,
      stage: 'done',
      acceptedAt: null,
    };
    switch (outcome.kind) {
      case 'accepted':
        return {
          ...base,
          state: 'accepted',
          code: outcome.code,
          reply: outcome.reply.slice(0, 500),
          acceptedAt: this.clock.now(),
        };
      case 'unknown':
        return { ...base, state: 'unknown', reason: outcome.reason, stage: 'body' };
      case 'refused': {
        const { stage, code, reply } = outcome;
        if (outcome.permanent)
          return { ...base, state: 'rejected', reason: 'refused by the relay', stage, code, reply };
        return { ...base, ...this.later(attempt, 'the relay asked to try later'), stage, code, reply };
      }
      case 'not_sent':
        return { ...base, ...this.later(attempt, outcome.reason), stage: outcome.stage };
    }
  }

  private later(
    attempt: number,
    reason: string,
  ): { state: 'ready' | 'expired'; reason: string; dueAt: Date | null } {
    const minutes = retryDelayMinutes(attempt);
    if (minutes === null) return { state: 'expired', reason, dueAt: null };
    return { state: 'ready', reason, dueAt: new Date(this.clock.now().getTime() + minutes * 60_000) };
  }
}
