import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { DomainError } from '../values/domain-error.js';
import { changeText, funnelDiff, type FunnelState, type PlannedChange } from './funnel-diff.js';
import { readFunnelFile, writeFunnelFile, type FunnelFile, type FunnelProblem } from './funnel-file.js';
import { funnelProblems, type DefinitionProblem } from './funnel-problems.js';
import { FunnelPublisher } from './funnel-publisher.service.js';
import { FunnelSourcesService } from './funnel-sources.service.js';
import type { FunnelDefinition } from './funnel.schemas.js';

/** Any constant; one funnel is applied at a time, so that a plan cannot be overtaken by another. */
const APPLY_LOCK = 7_311_402_616;

export interface FunnelPlan {
  funnel: string;
  changes: PlannedChange[];
  /** The changes as sentences, for people. */
  words: string[];
}

interface StoredFunnel {
  id: string;
  version: number;
  state: FunnelState;
}

export interface FunnelRow {
  key: string;
  title: string;
  version: number;
  updatedAt: Date;
  definition: FunnelDefinition;
}

/**
 * The only way configuration comes in: a funnel is read, checked as a whole, compared with what is there, and applied
 * in one transaction or not at all. Throws `FUNNEL_INVALID` with every problem, its line and its field.
 */
@Injectable()
export class FunnelsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly sources: FunnelSourcesService,
    private readonly publisher: FunnelPublisher,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async planFile(path: string): Promise<FunnelPlan> {
    return this.plan(await readText(path), dirname(path), path);
  }

  async applyFile(path: string): Promise<FunnelPlan> {
    return this.apply(await readText(path), dirname(path), path);
  }

  /** @param folder where `files/…` are looked up; `null` keeps the files that an earlier apply stored. */
  async plan(text: string, folder: string | null, name: string): Promise<FunnelPlan> {
    const definition = await this.check(text, folder, name);
    const stored = await this.stored(this.dataSource.manager, definition.funnel);
    return planOf(stored?.state ?? null, await this.stateOf(definition, folder, stored));
  }

  async apply(text: string, folder: string | null, name: string): Promise<FunnelPlan> {
    const definition = await this.check(text, folder, name);
    return this.dataSource.transaction(async (manager) => {
      await manager.query('select pg_advisory_xact_lock($1)', [APPLY_LOCK]);
      const stored = await this.stored(manager, definition.funnel);
      const next = await this.stateOf(definition, folder, stored);
      const plan = planOf(stored?.state ?? null, next);
      if (plan.changes.length === 0) return plan;
      await this.publisher.publish(manager, definition, folder);
      await this.store(manager, next, stored);
      return plan;
    });
  }

  /** The funnel file of one funnel, or of all, in the order of their keys. */
  async export(key?: string): Promise<string> {
    const rows: { definition: { definition: FunnelDefinition } }[] = await this.dataSource.query(
      'select definition from funnel where $1::text is null or key = $1 order by key',
      [key ?? null],
    );
    if (key !== undefined && rows.length === 0) throw notFound(key);
    return rows.map(({ definition }) => writeFunnelFile(definition.definition)).join('---\n');
  }

  /** Every funnel, by its key. */
  async list(): Promise<FunnelRow[]> {
    return this.dataSource.query(
      `select key, title, version, updated_at as "updatedAt", definition->'definition' as definition from funnel order by key`,
    );
  }

  /** Newest first; `beforeId` is the last one the caller has seen. */
  async page(page: {
    beforeId?: string | undefined;
    limit: number;
  }): Promise<(FunnelRow & { id: string })[]> {
    return this.dataSource.query(
      `select id, key, title, version, updated_at as "updatedAt", definition->'definition' as definition from funnel
        where $1::bigint is null or id < $1 order by id desc limit $2`,
      [page.beforeId ?? null, page.limit],
    );
  }

  async get(key: string): Promise<FunnelRow> {
    const funnel = (await this.list()).find((row) => row.key === key);
    if (!funnel) throw notFound(key);
    return funnel;
  }

  private async check(text: string, folder: string | null, name: string): Promise<FunnelDefinition> {
    const file = readFunnelFile(text);
    if (!file.ok) throw invalid(name, file.problems);
    const own = funnelProblems(file.definition);
    if (own.length > 0) throw invalid(name, located(file, own));
    const found = await this.sources.problems(file.definition, folder);
    const foreign = await this.publisher.conflicts(this.dataSource.manager, file.definition);
    if (found.length + foreign.length > 0) throw invalid(name, located(file, [...found, ...foreign]));
    return file.definition;
  }

  private async stateOf(
    definition: FunnelDefinition,
    folder: string | null,
    stored: StoredFunnel | null,
  ): Promise<FunnelState> {
    return {
      definition,
      sources: await this.sources.hashes(definition, folder, stored?.state.sources ?? {}),
    };
  }

  private async stored(manager: EntityManager, key: string): Promise<StoredFunnel | null> {
    const rows: StoredFunnel[] = await manager.query(
      'select id, version, definition as state from funnel where key = $1',
      [key],
    );
    return rows[0] ?? null;
  }

  private async store(
    manager: EntityManager,
    state: FunnelState,
    stored: StoredFunnel | null,
  ): Promise<void> {
    const { funnel, title } = state.definition;
    const version = (stored?.version ?? 0) + 1;
    const json = JSON.stringify(state);
    const rows: { id: string }[] = await manager.query(
      `insert into funnel (key, title, definition, definition_hash, version, created_at, updated_at)
       values ($1, $2, $3, $4, $5, $6, $6)
       on conflict (key) do update set title = excluded.title, definition = excluded.definition,
         definition_hash = excluded.definition_hash, version = excluded.version, updated_at = excluded.updated_at
       returning id`,
      [funnel, title, json, createHash('sha256').update(json).digest(), version, this.clock.now()],
    );
    await manager.query(
      'insert into funnel_version (funnel_id, version, definition, applied_at) values ($1, $2, $3, $4)',
      [rows[0]?.id, version, json, this.clock.now()],
    );
  }
}

function planOf(current: FunnelState | null, next: FunnelState): FunnelPlan {
  const changes = funnelDiff(current, next);
  return { funnel: next.definition.funnel, changes, words: changes.map(changeText) };
}

function located(file: Extract<FunnelFile, { ok: true }>, problems: DefinitionProblem[]): FunnelProblem[] {
  return problems.map(({ path, message }) => ({
    line: file.lineOf(path),
    field: path.map(String).join('.'),
    message,
  }));
}

function invalid(name: string, problems: FunnelProblem[]): DomainError {
  const lines = problems.map(
    ({ line, field, message }) =>
      `${name}${line === null ? '' : `:${line}`}: ${field === '' ? '' : `${field}: `}${message}`,
  );
  return new DomainError('FUNNEL_INVALID', lines.join('\n'), { file: name, problems });
}

function notFound(key: string): DomainError {
  return new DomainError('FUNNEL_NOT_FOUND', `there is no funnel "${key}"`, { key });
}

async function readText(path: string): Promise<string> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new DomainError('FUNNEL_FILE_NOT_FOUND', `${path} cannot be read`, { path }, { cause });
  });
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new DomainError('FUNNEL_FILE_INVALID', `${path}:1: save the file as UTF-8`, { path }, { cause });
  }
}
