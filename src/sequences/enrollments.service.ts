import { Inject, Injectable, Logger } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { MessagesService } from '../delivery/messages.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { Wake } from '../infra/jobs/wake.js';
import { DomainError } from '../values/domain-error.js';
import { timeZoneOr } from '../values/zoned-time.js';
import { planBatch, type BatchPlan, type DueEnrollment, type RunningVersion } from './advance-batch.js';
import type { SequenceDefinition } from './definition.js';
import { EnrollmentsQueries, type DuePlace } from './enrollments.queries.js';
import { dueAt, prepareSequence, type PreparedSequence } from './progress.js';

export const ADVANCE_DUE = 'sequences.advance-due';
/** For subscribers whose zone is not known. */
const FALLBACK_ZONE = 'UTC';
const POSTPONED_MS = 3_600_000;
/** More gain nothing and hold their row locks for longer. */
const BATCH = 2_000;
/** Batches under way at the same time: while the database writes one, this process works out the other. */
const LANES = 2;
/** A hit may be judged anew long after it came; who waits for it is then found by looking at all of them. */
const ALL_CLICKS_EVERY_MS = 3_600_000;

/** How far a run has come; its lanes share it. */
interface Run {
  after: DuePlace | null;
  moved: number;
}

/** Who is in which sequence and what comes next for them. Owns `enrollment` and its step and offer records. */
@Injectable()
export class EnrollmentsService {
  readonly #logger = new Logger(EnrollmentsService.name);
  readonly #prepared = new Map<string, PreparedSequence>();
  #clicks: { seen: string; allSeenAtMs: number } | null = null;

  constructor(
    private readonly dataSource: DataSource,
    private readonly queries: EnrollmentsQueries,
    private readonly messages: MessagesService,
    private readonly wake: Wake,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Joins the current version of the sequence. Who has been in it before does not join again. Throws
   * `SEQUENCE_NOT_FOUND`.
   */
  async enroll(
    manager: EntityManager,
    {
      sequenceKey,
      subscriberId,
      data,
    }: { sequenceKey: string; subscriberId: string; data: Record<string, unknown> },
  ): Promise<'enrolled' | 'already_enrolled'> {
    const now = this.clock.now();
    const found: {
      id: string;
      versionId: string;
      definition: SequenceDefinition;
      timeZone: string | null;
    }[] = await manager.query(
      `select q.id, v.id as "versionId", v.definition, s.time_zone as "timeZone"
       from sequence q join sequence_version v on v.id = q.current_version_id, subscriber s where q.key = $1 and s.id = $2`,
      [sequenceKey, subscriberId],
    );
    const sequence = found[0];
    if (!sequence?.definition.first) {
      const facts = { sequenceKey, subscriberId };
      throw new DomainError('SEQUENCE_NOT_FOUND', `there is no sequence "${sequenceKey}" to join`, facts);
    }
    const prepared = this.prepare(sequence.versionId, sequence.definition);
    const nextAt = dueAt(prepared, sequence.definition.first, {
      now,
      timeZone: timeZoneOr(sequence.timeZone, FALLBACK_ZONE).zone,
    });
    const rows: unknown[] = await manager.query(
      `insert into enrollment (sequence_id, version_id, subscriber_id, status, step_key, next_at, data, started_at)
       values ($1, $2, $3, 'active', $4, $5, $6, $7) on conflict (sequence_id, subscriber_id, occurrence) do nothing returning id`,
      [
        sequence.id,
        sequence.versionId,
        subscriberId,
        sequence.definition.first,
        nextAt,
        JSON.stringify(data),
        now,
      ],
    );
    await this.wake.notify(manager, ADVANCE_DUE);
    return rows.length === 1 ? 'enrolled' : 'already_enrolled';
  }

  /**
   * Runs the steps that are due, at most `limit` people in one transaction: the pointer moves and the mail is planned
   * together or not at all. Returns how many people were moved on.
   */
  async advanceDue(limit: number): Promise<number> {
    await this.noticeClicks();
    return this.advanceBatch({ after: null, moved: 0 }, limit);
  }

  /**
   * Runs the steps that are due until none is left, the time is up (`deadline` in epoch milliseconds of the clock) or
   * `signal` asks to stop. Returns how many people were moved on. Safe to run twice at once.
   */
  async advanceAllDue({ deadline, signal }: { deadline: number; signal: AbortSignal }): Promise<number> {
    await this.noticeClicks();
    const run: Run = { after: null, moved: 0 };
    const goesOn = (): boolean => !signal.aborted && this.clock.now().getTime() < deadline;
    // Whom another worker had locked, and then did not move on, is found by beginning once more from the front.
    for (let moved = 1; moved > 0 && goesOn();) {
      run.after = null;
      moved = await this.advanceBatch(run, BATCH);
      if (moved < BATCH) continue;
      const lane = async (): Promise<void> => {
        while (goesOn() && (await this.advanceBatch(run, BATCH)) > 0);
      };
      const ends = await Promise.allSettled(Array.from({ length: LANES }, lane));
      for (const end of ends) if (end.status === 'rejected') throw end.reason;
    }
    return run.moved;
  }

  /** Buying what the sequence leads to ends it at once, and what was planned is not sent. */
  async exitOnPurchase(manager: EntityManager, subscriberId: string, productKey: string): Promise<void> {
    await this.exit(manager, {
      subscriberId,
      productKey,
      funnelKey: null,
      reason: `purchased ${productKey}`,
    });
  }

  async exitOnUnsubscribe(manager: EntityManager, subscriberId: string): Promise<void> {
    await this.exit(manager, { subscriberId, productKey: null, funnelKey: null, reason: 'unsubscribed' });
  }

  /** The person does not want this funnel's mails any more, but others'. */
  async exitOnTopicOptOut(manager: EntityManager, subscriberId: string, funnelKey: string): Promise<void> {
    await this.exit(manager, { subscriberId, productKey: null, funnelKey, reason: 'topic opt-out' });
  }

  /** The offer as it was granted to this subscriber last; null when no step granted it. */
  async offerTerms(subscriberId: string, offerSlug: string): Promise<{ expiresAt: Date | null } | null> {
    const rows: { expiresAt: Date | null }[] = await this.dataSource.query(
      `select expires_at as "expiresAt" from enrollment_offer where subscriber_id = $1 and offer_slug = $2
       order by created_at desc limit 1`,
      [subscriberId, offerSlug],
    );
    return rows[0] ?? null;
  }

  /** When the next step of anybody is due; null when nobody is in a sequence. */
  async nextDueAt(): Promise<Date | null> {
    const rows: { at: Date | null }[] = await this.dataSource.query(
      `select min(next_at) as at from enrollment where status = 'active'`,
    );
    return rows[0]?.at ?? null;
  }

  private async exit(
    manager: EntityManager,
    who: { subscriberId: string; productKey: string | null; funnelKey: string | null; reason: string },
  ): Promise<void> {
    const ids = await this.queries.exit(manager, { ...who, now: this.clock.now() });
    if (ids.length > 0) await this.messages.cancelForEnrollments(manager, ids, who.reason);
  }

  private async advanceBatch(run: Run, limit: number): Promise<number> {
    return this.dataSource.transaction(async (manager) => {
      const now = this.clock.now();
      const due = await this.queries.claimDue(manager, { now, limit, after: run.after });
      if (due.length === 0) return 0;
      run.after = furthest(due, run.after);
      const plan = planBatch(due, await this.versions(manager, due), now);
      await this.postponeStuck(manager, plan, now);
      // The locked enrollments are what an erasure waits for.
      await this.messages.planBatch(manager, this.messages.prepareBatch(plan.mail), { lockReaders: false });
      await this.queries.grantOffers(manager, plan.grants, now);
      await this.queries.recordDecisions(manager, plan.decisions, now);
      await this.queries.move(manager, plan, now);
      run.moved += due.length;
      return due.length;
    });
  }

  /** A click is noticed once per run, not per batch, and only among new hits: a million may wait at one branch. */
  private async noticeClicks(): Promise<void> {
    const now = this.clock.now();
    const { manager } = this.dataSource;
    const newest = await this.queries.newestHit(manager);
    const known = this.#clicks;
    const all = known === null || Math.abs(now.getTime() - known.allSeenAtMs) > ALL_CLICKS_EVERY_MS;
    await this.queries.noticeClicks(manager, now, all ? null : known.seen);
    this.#clicks = { seen: newest, allSeenAtMs: all ? now.getTime() : known.allSeenAtMs };
  }

  private async postponeStuck(manager: EntityManager, { stuck }: BatchPlan, now: Date): Promise<void> {
    for (const { ids, stepKey, reason } of stuck) {
      this.#logger.error(
        `${ids.length} enrollments, ${ids[0] ?? ''} first, wait an hour at step ${stepKey}: ${reason}`,
      );
      await this.queries.postpone(manager, ids, new Date(now.getTime() + POSTPONED_MS));
    }
  }

  private async versions(
    manager: EntityManager,
    due: readonly DueEnrollment[],
  ): Promise<Map<string, RunningVersion>> {
    const ids = [...new Set(due.map(({ versionId }) => versionId))];
    const rows = await this.queries.versions(manager, ids);
    return new Map(
      rows.map(({ id, definition, funnelKey, sender }) => [
        id,
        { sequence: this.prepare(id, definition), funnelKey, sender },
      ]),
    );
  }

  private prepare(versionId: string, definition: SequenceDefinition): PreparedSequence {
    const known = this.#prepared.get(versionId);
    if (known) return known;
    const prepared = prepareSequence(definition);
    this.#prepared.set(versionId, prepared);
    return prepared;
  }
}

/** Batches of two lanes may end in either order. */
function furthest(
  due: readonly { nextAtMs: number; id: string }[],
  before: DuePlace | null,
): DuePlace | null {
  let last = before;
  for (const { nextAtMs, id } of due) {
    if (last === null || nextAtMs > last.nextAtMs || (nextAtMs === last.nextAtMs && isLater(id, last.id)))
      last = { nextAtMs, id };
  }
  return last;
}

/** Ids are whole numbers as text, without leading zeros. */
function isLater(id: string, other: string): boolean {
  return id.length === other.length ? id > other : id.length > other.length;
}
