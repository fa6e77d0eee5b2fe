import { Inject, Injectable, Logger } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { PreparedBatch } from '../delivery/message/mail-batch.js';
import { MessagesService } from '../delivery/planning/messages.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { inSmallHeap } from '../infra/small-heap.js';
import type { Broadcast } from './broadcast.js';
import { broadcastBatch } from './broadcast-batch.js';
import { endsTold, type EndTold } from './broadcast-offer.js';
import { noteEnds, promisedAbout } from './broadcast-offers.queries.js';
import { endOf } from './split.js';
import { BroadcastUpkeep } from './broadcast-upkeep.service.js';
import { SplitTests } from './split-test.service.js';
import { BroadcastsQueries, type CursorMove } from './broadcasts.queries.js';

/** Larger ones are no faster, and a pause waits for the one under way. */
const BATCH = 2_000;

interface Batch extends Pick<CursorMove, 'withoutZone' | 'hourPassed'> {
  prepared: PreparedBatch;
  ends: EndTold[];
  /** Recipients read so far, this batch included. */
  position: number;
  from: string;
  to: string;
  isLast: boolean;
}

interface Run {
  deadline: number;
  signal: AbortSignal;
  /** Left out: all may. */
  mayBegin?: (id: string) => boolean;
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
    private readonly upkeep: BroadcastUpkeep,
    private readonly tests: SplitTests,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Does what is left for every broadcast. Safe to run twice at once, in one process or in several. */
  async run(run: Run): Promise<void> {
    const goesOn = (): boolean => this.goesOn(run);
    await this.upkeep.closeAlerts();
    for (const { id, state, wasPaused } of await this.queries.unfinished(this.clock.now())) {
      if (!this.goesOn(run)) return;
      if (state === 'scheduled' && run.mayBegin?.(id) === false) continue;
      try {
        if (state === 'scheduled') await this.upkeep.begin(id);
        // Before a pause's mails are let go: an arm may have done harm while it lasted.
        if (state === 'running') await this.tests.guard(id, goesOn);
        if (wasPaused && (state === 'planning' || state === 'running'))
          await this.upkeep.afterPause(id, goesOn);
        if (state === 'scheduled' || state === 'planning') await inSmallHeap(() => this.plan(id, run));
        if (state === 'running') await this.tests.advance(id, goesOn);
        if (state === 'running' && !(await this.upkeep.hasOpenMails(id)))
          await this.upkeep.move(id, 'complete');
        if (state === 'cancelled') await this.upkeep.cancelRest(id, goesOn);
        if (state === 'done') await this.upkeep.move(id, 'reopen');
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
    const end = endOf(broadcast);
    if (end !== null && end <= this.clock.now()) {
      await this.upkeep.move(id, 'planned', 'expired before every mail was written');
      return;
    }
    let batch = await this.read(broadcast, { from: broadcast.cursor, position: broadcast.planned });
    while (this.goesOn(run)) {
      const written = await this.write(broadcast, batch);
      if (written === null || written.next === null) return;
      batch = await written.next;
    }
  }

  private async read(
    broadcast: Broadcast,
    { from, position }: { from: string; position: number },
  ): Promise<Batch> {
    const recipients = await this.queries.recipients(broadcast, { after: from, limit: BATCH });
    const isLast = recipients.ids.length < BATCH;
    const to = isLast ? (broadcast.lastSubscriberId ?? from) : (recipients.ids.at(-1) ?? from);
    const now = this.clock.now();
    const readers = { subscriberIds: recipients.ids, now };
    const offers = broadcast.offers ?? [];
    const promised = await promisedAbout(this.dataSource.manager, offers, readers);
    const { batch, withoutZone, hourPassed } = broadcastBatch(broadcast, recipients, position, {
      promised,
      now,
    });
    const prepared = this.messages.prepareBatch(batch);
    const ends = endsTold(
      offers,
      batch.shared.map(({ data }) => data),
    );
    return {
      ...{ prepared, ends, from, to, isLast, position: position + recipients.ids.length },
      ...{ withoutZone, hourPassed },
    };
  }

  /** The next batch, being read; null when there is nothing to go on with: paused, cancelled, or another worker is at it. */
  private async write(broadcast: Broadcast, batch: Batch): Promise<{ next: Promise<Batch> | null } | null> {
    const { id } = broadcast;
    const { prepared, ends, from, to, isLast, position } = batch;
    return this.dataSource.transaction(async (manager) => {
      if (!(await this.queries.lockBatch(manager, id, from))) return null;
      await noteEnds(manager, id, ends);
      const adding = this.messages.planBatch(manager, prepared);
      // Not before: else this process works out the next batch while the database waits to be told of this one.
      const next = isLast ? null : this.read(broadcast, { from: to, position });
      // When the writing fails, nobody waits for the reading any more.
      next?.catch(() => undefined);
      const added = await adding;
      const plannedAt = isLast ? this.clock.now() : null;
      await this.queries.moveCursor(manager, id, { ...batch, added, plannedAt });
      return { next };
    });
  }

  private goesOn({ deadline, signal }: Run): boolean {
    return !signal.aborted && this.clock.now().getTime() < deadline;
  }
}
