import { Inject, Injectable, Logger } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { PlannedMessage } from '../delivery/message.js';
import { MessagesService } from '../delivery/messages.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { Wake } from '../infra/jobs/wake.js';
import { addressHash } from '../subscribers/address-hash.js';
import { DomainError } from '../values/domain-error.js';
import { timeZoneOr } from '../values/zoned-time.js';
import type { SequenceDefinition } from './definition.js';
import { EnrollmentsQueries, type DueEnrollment, type EnrollmentUpdate } from './enrollments.queries.js';
import {
  advance,
  dueAt,
  prepareSequence,
  type PreparedSequence,
  type Progress,
  type Sent,
} from './progress.js';

export const ADVANCE_DUE = 'sequences.advance-due';
/** For subscribers whose zone is not known. */
const FALLBACK_ZONE = 'UTC';
const POSTPONED_MS = 3_600_000;

interface Planned {
  row: DueEnrollment;
  progress: Progress;
}

/** Who is in which sequence and what comes next for them. Owns `enrollment` and its step and offer records. */
@Injectable()
export class EnrollmentsService {
  readonly #logger = new Logger(EnrollmentsService.name);
  readonly #prepared = new Map<string, PreparedSequence>();

  constructor(
    private readonly dataSource: DataSource,
    private readonly queries: EnrollmentsQueries,
    private readonly messages: MessagesService,
    private readonly wake: Wake,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(CONFIG) private readonly config: Config,
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
    return this.dataSource.transaction(async (manager) => {
      const now = this.clock.now();
      await this.queries.noticeClicks(manager, now);
      const due = await this.queries.claimDue(manager, now, limit);
      if (due.length === 0) return 0;
      await this.loadVersions(manager, due);
      const active = due.filter(({ status }) => status === 'active');
      const { planned, failed } = this.progressOfAll(active, now);
      await this.queries.postpone(manager, failed, new Date(now.getTime() + POSTPONED_MS));
      await this.messages.plan(
        manager,
        planned.flatMap((one) => this.mails(one, now)),
      );
      await this.queries.grantOffers(manager, planned.flatMap(grants), now);
      await this.queries.recordSteps(manager, planned.flatMap(steps), now);
      const left = due
        .filter(({ status }) => status !== 'active')
        .map(({ id, status }) => exited(id, `subscriber is ${status}`));
      await this.queries.update(manager, [...planned.map(updateOf), ...left], now);
      return due.length;
    });
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

  /** One person whose next step cannot be worked out must not hold up everybody behind them. */
  private progressOfAll(rows: DueEnrollment[], now: Date): { planned: Planned[]; failed: string[] } {
    const planned: Planned[] = [];
    const failed: string[] = [];
    for (const row of rows) {
      try {
        planned.push({ row, progress: this.progress(row, now) });
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        this.#logger.error(`enrollment ${row.id} at step ${row.stepKey} waits an hour: ${reason}`);
        failed.push(row.id);
      }
    }
    return { planned, failed };
  }

  private progress(row: DueEnrollment, now: Date): Progress {
    const prepared = this.#prepared.get(row.versionId);
    if (!prepared) throw new Error(`version ${row.versionId} was not loaded`);
    return advance(prepared, row.stepKey, {
      now,
      timeZone: timeZoneOr(row.timeZone, FALLBACK_ZONE).zone,
      clicked: row.clicked,
    });
  }

  private mails({ row, progress }: Planned, now: Date): PlannedMessage[] {
    return progress.sent.map((sent) => ({
      dedupeKey: `seq:${row.id}:${sent.node.key}`,
      class: 'marketing',
      kind: 'sequence',
      subscriberId: row.subscriberId,
      funnelKey: row.funnelKey,
      enrollmentId: row.id,
      stepKey: sent.node.key,
      templateId: sent.node.templateId,
      data: { ...row.data, ...offerData(sent) },
      sender: row.sender,
      address: row.email,
      addressHash: addressHash(this.config.secretKey, row.emailKey),
      dueAt: now,
    }));
  }

  private async loadVersions(manager: EntityManager, due: DueEnrollment[]): Promise<void> {
    const missing = [...new Set(due.map(({ versionId }) => versionId))].filter(
      (id) => !this.#prepared.has(id),
    );
    if (missing.length === 0) return;
    const rows: { id: string; definition: SequenceDefinition }[] = await manager.query(
      'select id, definition from sequence_version where id = any($1::bigint[])',
      [missing],
    );
    for (const { id, definition } of rows) this.prepare(id, definition);
  }

  private prepare(versionId: string, definition: SequenceDefinition): PreparedSequence {
    const known = this.#prepared.get(versionId);
    if (known) return known;
    const prepared = prepareSequence(definition);
    this.#prepared.set(versionId, prepared);
    return prepared;
  }
}

function offerData({ node, offerExpiresAt }: Sent): Record<string, unknown> {
  if (node.offer === null) return {};
  return {
    offer: { ...node.offer, ...(offerExpiresAt === null ? {} : { expiresAt: offerExpiresAt.toISOString() }) },
  };
}

function grants({
  row,
  progress,
}: Planned): { enrollmentId: string; subscriberId: string; offerSlug: string; expiresAt: Date | null }[] {
  return progress.sent.flatMap(({ node, offerExpiresAt }) =>
    node.offer === null
      ? []
      : [
          {
            enrollmentId: row.id,
            subscriberId: row.subscriberId,
            offerSlug: node.offer.slug,
            expiresAt: offerExpiresAt,
          },
        ],
  );
}

function steps({ row, progress }: Planned): { enrollmentId: string; stepKey: string; outcome: string }[] {
  const sent = progress.sent.map(({ node }) => ({
    enrollmentId: row.id,
    stepKey: node.key,
    outcome: 'planned',
  }));
  const passed = progress.passed.map((stepKey) => ({
    enrollmentId: row.id,
    stepKey,
    outcome: row.clicked ? 'then' : 'else',
  }));
  return [...sent, ...passed];
}

function updateOf({ row, progress }: Planned): EnrollmentUpdate {
  if (progress.kind === 'completed') {
    return {
      id: row.id,
      status: 'completed',
      exitReason: null,
      stepKey: null,
      nextAt: null,
      waitsOnStep: null,
    };
  }
  const { stepKey, nextAt, waitsOnStep } = progress;
  return { id: row.id, status: 'active', exitReason: null, stepKey, nextAt, waitsOnStep };
}

function exited(id: string, reason: string): EnrollmentUpdate {
  return { id, status: 'exited', exitReason: reason, stepKey: null, nextAt: null, waitsOnStep: null };
}
