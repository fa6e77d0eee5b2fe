import { Inject, Injectable, Logger } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { MessagesService } from '../../delivery/planning/messages.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { inSmallHeap } from '../../infra/small-heap.js';
import { planBatch, POSTPONED_MS } from './advance-batch.js';
import { touchedSubscribers, type BatchPlan } from './batch-plan.js';
import { needsOf, withoutEnrollments, withoutSubscribers, type DueGroup } from './due-group.js';
import { EffectsService } from '../effects/effects.service.js';
import { EnrollmentsQueries, furtherCursor, type DueCursor } from './enrollments.queries.js';
import { loadAnswers } from './facts.queries.js';
import { endedWaits, waitsLonger, type EndedWait } from './late-mails.js';
import { VersionsService } from './versions.service.js';

/** More gain nothing and hold their row locks for longer. */
const BATCH = 2_000;
/** Batches under way at the same time: while the database writes two, this process works out the third. */
const LOOPS = 3;
/** How far a run has come; its loops share it. */
interface Run {
  after: DueCursor | null;
  /** How many people were moved on, or put off: whoever is left as they were does not count. */
  moved: number;
}

/** Runs the steps that are due. */
@Injectable()
export class AdvanceService {
  readonly #logger = new Logger(AdvanceService.name);

  constructor(
    private readonly dataSource: DataSource,
    private readonly queries: EnrollmentsQueries,
    private readonly versions: VersionsService,
    private readonly messages: MessagesService,
    private readonly effects: EffectsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Runs the steps that are due, at most `limit` people in one transaction: the pointer moves and the mail is planned
   * together or not at all. Returns how many people were moved on or put off.
   */
  async advanceDue(limit: number): Promise<number> {
    const run: Run = { after: null, moved: 0 };
    await this.letGoOn(() => true);
    await this.advanceBatch(run, limit);
    return run.moved;
  }

  /**
   * Runs the steps that are due until none is left, the time is up (`deadline` in epoch milliseconds of the clock) or
   * `signal` asks to stop. Returns how many people were moved on or put off. Safe to run twice at once.
   */
  async advanceAllDue({ deadline, signal }: { deadline: number; signal: AbortSignal }): Promise<number> {
    const run: Run = { after: null, moved: 0 };
    const goesOn = (): boolean => !signal.aborted && this.clock.now().getTime() < deadline;
    await this.letGoOn(goesOn);
    // Whom another worker had locked, and then did not move on, is found by beginning once more from the front. Where
    // nobody was moved they are still locked, perhaps for minutes, and the next run finds them.
    for (let before = -1; run.moved > before && goesOn();) {
      before = run.moved;
      run.after = null;
      if ((await this.advanceBatch(run, BATCH)) < BATCH) continue;
      const loop = async (): Promise<void> => {
        while (goesOn() && (await this.advanceBatch(run, BATCH)) > 0);
      };
      const ends = await inSmallHeap(() => Promise.allSettled(Array.from({ length: LOOPS }, loop)));
      for (const end of ends) if (end.status === 'rejected') throw end.reason;
    }
    return run.moved;
  }

  /**
   * People of a sequence whose mails are paused stand still: going on, each would have all their steps in one minute when it
   * goes on, and branches would be decided by mails that they never had.
   */
  private async letGoOn(goesOn: () => boolean): Promise<void> {
    const some = async (): Promise<number> =>
      this.dataSource.transaction(async (manager) => this.queries.letGoOn(manager, this.clock.now(), BATCH));
    while (goesOn() && (await some()) === BATCH);
  }

  /** Returns how many were due, also of those who could not be moved now: behind a full batch there may be more. */
  private async advanceBatch(run: Run, limit: number): Promise<number> {
    return this.dataSource.transaction(async (manager) => {
      const now = this.clock.now();
      const { due, last } = await this.queries.claimDue(manager, { now, limit, after: run.after });
      if (last === null) return 0;
      run.after = furtherCursor(last, run.after);
      const { plan, waiting } = await this.plan(manager, due, now);
      const stuck = await this.postponeStuck(manager, plan, now);
      const paused = await this.queries.holdPaused(manager, plan.paused, now);
      const stopped = await this.queries.holdStopped(manager, plan.stopped);
      // The locked enrollments are what an erasure waits for.
      await this.messages.planBatch(manager, this.messages.prepareBatch(plan.mail));
      await this.queries.grantOffers(manager, plan.grants, now);
      await this.queries.recordDecisions(manager, plan.decisions, now);
      await this.queries.move(manager, plan, now);
      await this.effects.apply(manager, plan, now);
      run.moved += plan.moves.ids.length + stuck + paused + stopped + waiting;
      return due.reduce((sum, { people }) => sum + people.ids.length, 0);
    });
  }

  /** Leaves out who is being changed by somebody else at this moment, who stay due, and those `waiting` who wait longer. */
  private async plan(
    manager: EntityManager,
    claimed: readonly DueGroup[],
    now: Date,
  ): Promise<{ plan: BatchPlan; waiting: number }> {
    const versions = await this.versions.running(manager, claimed);
    const answers = await loadAnswers(manager, needsOf(claimed, versions), now);
    const first = planBatch(claimed, versions, answers, now);
    const longer = await this.waitLonger(manager, endedWaits(claimed, versions, first), now);
    const due = longer.size === 0 ? claimed : withoutEnrollments(claimed, longer);
    const plan = due === claimed ? first : planBatch(due, versions, answers, now);
    const touched = touchedSubscribers(plan);
    if (touched.length === 0) return { plan, waiting: longer.size };
    const free = await this.effects.lockFree(manager, touched);
    if (free.size === touched.length) return { plan, waiting: longer.size };
    const busy = new Set(touched.filter((id) => !free.has(id)));
    const others = planBatch(withoutSubscribers(due, busy), versions, answers, now);
    return { plan: others, waiting: longer.size };
  }

  /** Whoever waits for a click on a mail has the time for it from when the mail went; returns those who have it still. */
  private async waitLonger(
    manager: EntityManager,
    waits: readonly EndedWait[],
    now: Date,
  ): Promise<ReadonlySet<string>> {
    if (waits.length === 0) return new Set();
    const went = await this.queries.watchedMails(
      manager,
      waits.map(({ id }) => id),
      now,
    );
    const longer = waits.flatMap((wait) => {
      const times = went.get(wait.id);
      const until = times === undefined ? null : waitsLonger(wait, times, now);
      return until === null ? [] : [{ id: wait.id, until }];
    });
    await this.queries.waitUntil(manager, longer);
    return new Set(longer.map(({ id }) => id));
  }

  private async postponeStuck(manager: EntityManager, { stuck }: BatchPlan, now: Date): Promise<number> {
    for (const { ids, stepKey, reason } of stuck) {
      this.#logger.error(
        `${ids.length} enrollments, ${ids[0] ?? ''} first, wait an hour at step ${stepKey}: ${reason}`,
      );
      await this.queries.postpone(manager, ids, new Date(now.getTime() + POSTPONED_MS));
    }
    return stuck.reduce((sum, { ids }) => sum + ids.length, 0);
  }
}
