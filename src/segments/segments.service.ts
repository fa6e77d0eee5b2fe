import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import type { Unchanged } from '../infra/http/etag.js';
import { FieldsService } from '../subscribers/fields.service.js';
import type { Subscriber } from '../subscribers/subscriber.js';
import { DomainError } from '../values/domain-error.js';
import { notFound } from '../values/not-found.js';
import { compileConditions, type SqlCondition } from './compile.js';
import type { CompileOptions } from './compile-context.js';
import { type Condition, leavesOf, namedIn } from './condition.js';
import { compileForEverybody, type EverybodyOptions } from './compile-for-everybody.js';
import type { Segment, SegmentDraft } from './segment.js';
import { type ConditionProblem, fieldProblemsOf } from './segment-fields.js';
import { SegmentsQueries } from './segments.queries.js';

/** Named sets of subscribers. Owns `segment`. */
@Injectable()
export class SegmentsService {
  constructor(
    private readonly queries: SegmentsQueries,
    private readonly fields: FieldsService,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Throws `SEGMENT_ALREADY_EXISTS` and `SEGMENT_CONDITIONS_INVALID`. */
  async create(draft: SegmentDraft): Promise<Segment> {
    await this.check(draft.conditions);
    const id = await this.queries.insert(draft, this.clock.now());
    if (id !== null) return this.get(id);
    throw new DomainError('SEGMENT_ALREADY_EXISTS', `key: there is a segment "${draft.key}"`, {
      field: 'key',
    });
  }

  /** The key stays: broadcasts refer to it. Throws `SEGMENT_NOT_FOUND` and `SEGMENT_CONDITIONS_INVALID`. */
  async update(
    id: string,
    change: { title?: string | undefined; conditions?: Condition | undefined },
    unchanged?: Unchanged<Segment>,
  ): Promise<Segment> {
    if (change.conditions) await this.check(change.conditions);
    await this.queries.withLocked(id, async (manager, before) => {
      unchanged?.(before);
      const { title = before.title, conditions = before.conditions } = change;
      await this.queries.update(id, { ...before, title, conditions }, this.clock.now(), manager);
    });
    return this.get(id);
  }

  /** Throws `SEGMENT_NOT_FOUND`, and `SEGMENT_IN_USE_CONFLICT` while a broadcast that is not over names it. */
  async remove(id: string, unchanged?: Unchanged<Segment>): Promise<void> {
    await this.queries.withLocked(id, async (manager, segment) => {
      unchanged?.(segment);
      const { key } = segment;
      const broadcasts = await this.queries.broadcastsWith(key, manager);
      if (broadcasts.length > 0) {
        const message = `The segment "${key}" is used by ${broadcasts.map((title) => `"${title}"`).join(', ')}`;
        throw new DomainError('SEGMENT_IN_USE_CONFLICT', message, { broadcasts });
      }
      await this.queries.remove(id, manager);
    });
  }

  /** Throws `SEGMENT_NOT_FOUND`. */
  async get(id: string): Promise<Segment> {
    const segment = await this.queries.find(id);
    if (segment) return segment;
    throw notFound('segment', id);
  }

  async page(beforeId: string | undefined, limit: number): Promise<Segment[]> {
    return this.queries.page(beforeId, limit);
  }

  /** How many belong to it now, counted. */
  async count(conditions: Condition): Promise<number> {
    return this.queries.count(compileForEverybody(conditions, { ...(await this.crowd()), first: 1 }));
  }

  /** Who belongs to it now, newest first, below `beforeId`. */
  async people(
    conditions: Condition,
    page: { beforeId: string | undefined; limit: number },
  ): Promise<Subscriber[]> {
    const ground = await this.crowd();
    const compile = {
      byIndex: (first: number) => compileConditions(conditions, { ...ground, first }),
      ofRange: (first: number, range: { from: string; below: string }) =>
        compileForEverybody(conditions, { ...ground, first, range }),
    };
    return this.queries.people(compile, page);
  }

  /** The conditions of the segments by their keys. Throws `SEGMENT_NOT_FOUND` for one that is not there. */
  async conditionsOf(keys: readonly string[], manager?: EntityManager): Promise<Record<string, Condition>> {
    if (keys.length === 0) return {};
    const found = new Map((await this.queries.byKeys(keys, manager)).map((one) => [one.key, one.conditions]));
    const missing = keys.find((key) => !found.has(key));
    if (missing === undefined) return Object.fromEntries(found);
    throw notFound('segment', missing, 'key');
  }

  /** Conditions as SQL over `subscriber s`, for batches; counted from now, and as of now, unless the options say otherwise. */
  async compiler(
    options: Partial<Pick<CompileOptions, 'now' | 'asOf'>> = {},
  ): Promise<(conditions: Condition, first: number) => SqlCondition> {
    const all = { ...(await this.ground()), ...options };
    return (conditions, first) => compileConditions(conditions, { ...all, first });
  }

  private async ground(): Promise<Pick<EverybodyOptions, 'definitions' | 'now' | 'zone'>> {
    const { timeZone: zone } = this.config;
    return { definitions: await this.fields.definitions(), now: this.clock.now(), zone };
  }

  private async crowd(): Promise<Omit<EverybodyOptions, 'first' | 'range'>> {
    return { ...(await this.ground()), ...(await this.queries.crowd()) };
  }

  /** How many meet a condition over `subscriber s` with parameters from $1 on. */
  async countWhere(condition: SqlCondition): Promise<number> {
    return this.queries.count({ of: 'rows', ...condition });
  }

  /** Throws `SEGMENT_CONDITIONS_INVALID` naming every field, operator, value and reference that cannot be. */
  async check(conditions: Condition): Promise<void> {
    const leaves = leavesOf(conditions);
    const missing = await this.queries.missing(leaves.map(({ leaf }) => leaf));
    const problems: ConditionProblem[] = [
      ...fieldProblemsOf(conditions, await this.fields.definitions()),
      ...leaves.flatMap(({ leaf, path }) =>
        namedIn(leaf)
          .filter(([kind, key]) => missing.has(`${kind} ${key}`))
          .map(([kind, key]) => ({
            path,
            message: `there is no ${kind} "${key}"`,
            allowed: `a ${kind} that exists`,
          })),
      ),
    ];
    if (problems.length === 0) return;
    const errors = problems.map(({ path, message, allowed }) => ({
      field: path === '' ? 'conditions' : `conditions.${path}`,
      message,
      allowed,
    }));
    const named = errors.map(({ field, message }) => `${field}: ${message}`).join('; ');
    throw new DomainError('SEGMENT_CONDITIONS_INVALID', named, { errors });
  }
}
