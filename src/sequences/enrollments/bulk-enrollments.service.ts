import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { Wake } from '../../infra/jobs/wake.js';
import type { Condition } from '../../segments/condition.js';
import { SegmentsService } from '../../segments/segments.service.js';
import { DomainError } from '../../values/domain-error.js';
import { notFound } from '../../values/not-found.js';
import {
  ManualEnrollmentsService,
  type Candidate,
  type EnrollOutcome,
} from './manual-enrollments.service.js';

export const ENROLL_SEGMENTS = 'sequences.enroll-segments';
const PAGE = 1_000;

interface BulkEnrollment {
  id: string;
  sequenceId: string;
  segment: string;
  at: string | null;
  state: 'running' | 'done' | 'cancelled' | 'failed';
  reason: string | null;
  counts: Record<EnrollOutcome, number>;
  createdAt: Date;
  endedAt: Date | null;
}

interface OpenJob extends BulkEnrollment {
  conditions: Condition;
  cursor: string;
  lastId: string;
}

const COLUMNS = `b.id, b.sequence_id as "sequenceId", b.segment_key as segment, b.step_key as at, b.state, b.reason, b.counts,
  b.created_at as "createdAt", b.ended_at as "endedAt"`;
const NONE: Record<EnrollOutcome, number> = {
  enrolled: 0,
  notActive: 0,
  suppressed: 0,
  optedOut: 0,
  mayNotJoin: 0,
};

/**
 * Everybody of a segment joins a sequence, a thousand in one transaction each. The segment's conditions are those of the
 * start; who came to the list later is left out. The only writer of `bulk_enrollment`.
 */
@Injectable()
export class BulkEnrollmentsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly segments: SegmentsService,
    private readonly enrollments: ManualEnrollmentsService,
    private readonly wake: Wake,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Throws `SEQUENCE_NOT_FOUND`, `SEGMENT_NOT_FOUND` and `STEP_NOT_FOUND`; people follow in a job. */
  async start(sequenceId: string, segment: string, at: string | undefined): Promise<BulkEnrollment> {
    const sequence = await this.enrollments.sequence(sequenceId);
    const { [segment]: conditions } = await this.segments.conditionsOf([segment]);
    return this.dataSource.transaction(async (manager) => {
      // Nobody joins yet: only a step that is not there is refused.
      await this.enrollments.addAll(manager, sequence, [], at);
      const rows: BulkEnrollment[] = await manager.query(
        `insert into bulk_enrollment as b (sequence_id, segment_key, conditions, step_key, state, counts, last_id, created_at)
         select $1, $2, $3, $4, 'running', $5, coalesce(max(id), 0), $6 from subscriber returning ${COLUMNS}`,
        [sequenceId, segment, JSON.stringify(conditions), at ?? null, JSON.stringify(NONE), this.clock.now()],
      );
      await this.wake.notify(manager, ENROLL_SEGMENTS);
      const [row] = rows;
      if (!row) throw new Error('a bulk enrollment was not written');
      return row;
    });
  }

  /** Newest first, below `beforeId`. */
  async list(page: { id?: string; beforeId?: string | undefined; limit: number }): Promise<BulkEnrollment[]> {
    return this.dataSource.query(
      `select ${COLUMNS} from bulk_enrollment b
       where ($1::bigint is null or b.id < $1) and ($3::bigint is null or b.id = $3) order by b.id desc limit $2`,
      [page.beforeId ?? null, page.limit, page.id ?? null],
    );
  }

  /** Throws `BULK_ENROLLMENT_NOT_FOUND`. */
  async get(id: string): Promise<BulkEnrollment> {
    const [row] = await this.list({ id, limit: 1 });
    if (row) return row;
    throw notFound('bulk enrollment', id);
  }

  /** Who has joined stays in. Repeating it, or what is over, changes nothing. */
  async cancel(id: string): Promise<BulkEnrollment> {
    await this.dataSource.query(
      `update bulk_enrollment set state = 'cancelled', ended_at = $2 where id = $1 and state = 'running'`,
      [id, this.clock.now()],
    );
    return this.get(id);
  }

  /** Goes on where it ended, also after a crash. Two workers take different ones. */
  async runOpen(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && (await this.runPage()));
  }

  /** False when none is open. */
  private async runPage(): Promise<boolean> {
    return this.dataSource.transaction(async (manager) => {
      const rows: OpenJob[] = await manager.query(
        `select ${COLUMNS}, b.conditions, b.cursor_id as cursor, b.last_id as "lastId" from bulk_enrollment b
         where b.state = 'running' order by b.id limit 1 for update skip locked`,
      );
      const [job] = rows;
      if (!job) return false;
      const page = await this.people(manager, job);
      const people = typeof page === 'string' ? [] : page;
      const counts = { ...job.counts };
      const reason = typeof page === 'string' ? page : await this.enroll(manager, job, people, counts);
      const isOver = reason !== null || people.length < PAGE;
      await manager.query(
        `update bulk_enrollment set cursor_id = $2, counts = $3, state = $4, reason = $5, ended_at = $6 where id = $1`,
        [
          job.id,
          people.at(-1)?.id ?? job.cursor,
          JSON.stringify(counts),
          reason === null ? (isOver ? 'done' : 'running') : 'failed',
          reason,
          isOver ? this.clock.now() : null,
        ],
      );
      return true;
    });
  }

  /** Why nobody of the page may join, such as a step that is gone since; null when all goes well. */
  private async enroll(
    manager: EntityManager,
    job: OpenJob,
    people: readonly Candidate[],
    counts: Record<EnrollOutcome, number>,
  ): Promise<string | null> {
    try {
      const sequence = await this.enrollments.sequence(job.sequenceId);
      const outcomes = await this.enrollments.addAll(manager, sequence, people, job.at ?? undefined);
      for (const outcome of outcomes.values()) counts[outcome] += 1;
      return null;
    } catch (error) {
      if (error instanceof DomainError) return error.message;
      throw error;
    }
  }

  /** Why nobody can be found, such as a field that is gone since: it must not hold up those behind it. */
  private async people(
    manager: EntityManager,
    { conditions, cursor, lastId }: OpenJob,
  ): Promise<Candidate[] | string> {
    const compile = await this.segments.compiler();
    let condition: ReturnType<typeof compile>;
    try {
      condition = compile(conditions, 4);
    } catch (error) {
      return `the conditions of the segment cannot be asked any more: ${error instanceof Error ? error.message : String(error)}`;
    }
    return manager.query(
      `select s.id, s.email_key as "emailKey" from subscriber s
       where s.id > $1 and s.id <= $2 and ${condition.text} order by s.id limit $3`,
      [cursor, lastId, PAGE, ...condition.parameters],
    );
  }
}
