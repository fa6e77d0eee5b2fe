import { Inject, Injectable, Logger } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { BroadcastMailsQueries } from '../delivery/broadcast-mails.queries.js';
import { MessagesService, type PreparedBatch } from '../delivery/messages.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { broadcastMailKey, topicOf, type Broadcast } from './broadcast.js';
import { nextState, type BroadcastAction } from './broadcast-status.js';
import { BroadcastsQueries, type Recipient } from './broadcasts.queries.js';

/** Larger ones are no faster, and a pause waits for the one under way. */
const BATCH = 2_000;

interface Batch {
  prepared: PreparedBatch;
  from: string;
  to: string;
  isLast: boolean;
}

interface Run {
  deadline: number;
  signal: AbortSignal;
}

/**
 * Writes the mails of broadcasts, one transaction per batch of recipients: mails and cursor move together, so whatever
 * dies in between is neither skipped nor written twice. Holds two batches in memory, however many recipients there are.
 */
@Injectable()
export class BroadcastPlanner {
  readonly #logger = new Logger(BroadcastPlanner.name);

  constructor(
    private readonly dataSource: DataSource,
    private readonly queries: BroadcastsQueries,
    private readonly messages: MessagesService,
    private readonly mails: BroadcastMailsQueries,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Does what is left for every broadcast. Safe to run twice at once, in one process or in several. */
  async run(run: Run): Promise<void> {
    for (const { id, state } of await this.queries.unfinished(this.clock.now())) {
      if (!this.goesOn(run)) return;
      try {
        if (state === 'scheduled') await this.move(id, 'begin');
        if (state === 'planning' || state === 'running') await this.afterPause(id, run);
        if (state === 'scheduled' || state === 'planning') await this.plan(id, run);
        if (state === 'running' && !(await this.queries.hasOpenMails(id))) await this.move(id, 'complete');
        if (state === 'cancelled') await this.cancelRest(id, run);
        if (state === 'done') await this.move(id, 'reopen');
      } catch (error) {
        // The others have done nothing to deserve waiting for this one.
        const reason = error instanceof Error ? error.message : String(error);
        this.#logger.error(`broadcast ${id} is tried again: ${reason}`);
      }
    }
  }

  /** The next batch is read and prepared while the database writes this one. */
  private async plan(id: string, run: Run): Promise<void> {
    const broadcast = await this.queries.find(id);
    if (broadcast?.state !== 'planning') return;
    if (broadcast.expiresAt !== null && broadcast.expiresAt <= this.clock.now()) {
      await this.move(id, 'planned', 'expired before every mail was written');
      return;
    }
    let batch = await this.read(broadcast, broadcast.cursor);
    while (this.goesOn(run)) {
      const next = batch.isLast ? null : this.read(broadcast, batch.to);
      // When the writing fails, nobody waits for the reading any more.
      next?.catch(() => undefined);
      const written = await this.write(broadcast, batch);
      if (!written || next === null) return;
      batch = await next;
    }
  }

  private async read(broadcast: Broadcast, from: string): Promise<Batch> {
    const recipients = await this.queries.recipients(broadcast, { after: from, limit: BATCH });
    const isLast = recipients.length < BATCH;
    const to = isLast ? (broadcast.lastSubscriberId ?? from) : (recipients.at(-1)?.id ?? from);
    return { prepared: this.messages.prepareBatch(mailsOf(broadcast, recipients)), from, to, isLast };
  }

  /** False when there is nothing to go on with: paused, cancelled, or another worker is at it. */
  private async write({ id }: Broadcast, { prepared, from, to, isLast }: Batch): Promise<boolean> {
    return this.dataSource.transaction(async (manager) => {
      if (!(await this.queries.lockBatch(manager, id, from))) return false;
      const added = await this.messages.planBatch(manager, prepared);
      await this.queries.moveCursor(manager, id, { to, added, plannedAt: isLast ? this.clock.now() : null });
      return true;
    });
  }

  /** What was held during a pause. The claim may hold a few more after the resumption, so each run looks again. */
  private async afterPause(id: string, run: Run): Promise<void> {
    while (this.goesOn(run) && (await this.mails.release(id, BATCH)) === BATCH);
  }

  private async cancelRest(id: string, run: Run): Promise<void> {
    while (this.goesOn(run) && (await this.mails.cancel(id, BATCH)) === BATCH);
  }

  private async move(id: string, action: BroadcastAction, reason: string | null = null): Promise<void> {
    const now = this.clock.now();
    await this.dataSource.transaction(async (manager) => {
      const broadcast = await this.queries.lock(manager, id);
      const state = broadcast && nextState(broadcast, action);
      if (!state) return;
      if (action === 'begin') await this.queries.begin(manager, broadcast, now);
      else await this.queries.setState(manager, id, { state, reason, now });
      if (action === 'planned') await this.queries.endPlanning(manager, id, now);
    });
  }

  private goesOn({ deadline, signal }: Run): boolean {
    return !signal.aborted && this.clock.now().getTime() < deadline;
  }
}

function mailsOf(
  broadcast: Broadcast,
  recipients: readonly Recipient[],
): Parameters<MessagesService['prepareBatch']>[0] {
  const { id, templateId, sender, scheduledAt, createdAt, expiresAt } = broadcast;
  return {
    shared: [
      {
        class: 'marketing',
        kind: 'broadcast',
        funnelKey: topicOf(broadcast),
        broadcastId: id,
        templateId,
        data: {},
        sender,
        // Not the present: a broadcast that is late because nothing ran meets the rule for overdue mails.
        dueAt: scheduledAt ?? createdAt,
        ...(expiresAt === null ? {} : { expiresAt }),
      },
    ],
    mails: recipients.map((recipient) => ({
      shared: 0,
      dedupeKey: broadcastMailKey(id, recipient.id),
      subscriberId: recipient.id,
      address: recipient.email,
      emailKey: recipient.emailKey,
    })),
  };
}
