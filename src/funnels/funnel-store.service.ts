import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { TemplateTexts } from '../infra/templates/template-texts.service.js';
import type { Texts } from '../values/template-texts.js';
import { DomainError } from '../values/domain-error.js';
import { notFound } from '../values/not-found.js';
import type { FunnelState } from './changes/funnel-diff.js';
import type { FunnelParts } from './publish/funnel-publisher.service.js';
import type { FunnelDefinition } from './schemas/funnel.schemas.js';

export interface StoredFunnel {
  id: string;
  version: number;
  hash: Buffer;
  state: FunnelState;
  /** Null: it is not archived. */
  peopleAfter: PeopleAfter | null;
}

/** What becomes of who is in the sequence of a funnel that is archived. */
export type PeopleAfter = 'end' | 'finish';

export interface FunnelRow {
  key: string;
  title: string;
  version: number;
  updatedAt: Date;
  archivedAt: Date | null;
  peopleAfter: PeopleAfter | null;
  definition: FunnelDefinition;
}

export interface FunnelVersion {
  version: number;
  appliedAt: Date;
  /** The version it brought back, when it was made by a rollback. */
  restored: number | null;
  /** Who applied it; null where that was not written down. */
  appliedBy: string | null;
  state: FunnelState;
  /** Null in a version of before this was kept: what it was made of is not known. */
  parts: FunnelParts | null;
}

const ROW = `key, title, version, updated_at as "updatedAt", archived_at as "archivedAt", people_after as "peopleAfter",
  definition->'definition' as definition`;

/** Funnels and their versions. The only writer of `funnel` and `funnel_version`. */
@Injectable()
export class FunnelStore {
  constructor(
    private readonly dataSource: DataSource,
    private readonly texts: TemplateTexts,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Every funnel, archived ones as well, by its key. */
  async list(): Promise<FunnelRow[]> {
    return this.dataSource.query(`select ${ROW} from funnel order by key`);
  }

  async row(key: string, manager: EntityManager = this.dataSource.manager): Promise<FunnelRow | undefined> {
    const rows: FunnelRow[] = await manager.query(`select ${ROW} from funnel where key = $1`, [key]);
    return rows[0];
  }

  /** Newest first; `beforeId` is the last one the caller has seen. */
  async page(page: {
    beforeId?: string | undefined;
    limit: number;
    archived: boolean;
  }): Promise<(FunnelRow & { id: string })[]> {
    return this.dataSource.query(
      `select id, ${ROW} from funnel
        where ($1::bigint is null or id < $1) and (archived_at is not null) = $3 order by id desc limit $2`,
      [page.beforeId ?? null, page.limit, page.archived],
    );
  }

  async find(manager: EntityManager, key: string): Promise<StoredFunnel | null> {
    const rows: StoredFunnel[] = await manager.query(
      'select id, version, definition_hash as hash, definition as state, people_after as "peopleAfter" from funnel where key = $1',
      [key],
    );
    return rows[0] ?? null;
  }

  async archive(
    manager: EntityManager,
    key: string,
    { people, by }: { people: PeopleAfter; by: string },
  ): Promise<void> {
    await manager.query(
      `update funnel set archived_at = coalesce(archived_at, $2), archived_by = $3, people_after = $4 where key = $1`,
      [key, this.clock.now(), by, people],
    );
  }

  async unarchive(manager: EntityManager, key: string): Promise<void> {
    await manager.query(
      'update funnel set archived_at = null, archived_by = null, people_after = null where key = $1',
      [key],
    );
  }

  /** Versions before `before`, newest first. Throws `FUNNEL_NOT_FOUND`. */
  async versions(
    key: string,
    { before, limit }: { before?: number | undefined; limit: number },
  ): Promise<FunnelVersion[]> {
    const { manager } = this.dataSource;
    const funnel = await this.find(manager, key);
    if (!funnel) throw notFound('funnel', key, 'key');
    return manager.query(
      `select version, applied_at as "appliedAt", restored, applied_by as "appliedBy", definition as state, parts from funnel_version
       where funnel_id = $1 and ($2::int is null or version < $2) order by version desc limit $3`,
      [funnel.id, before ?? null, limit],
    );
  }

  /** Throws `FUNNEL_VERSION_NOT_FOUND`, which names those that are there. */
  async version(manager: EntityManager, funnel: StoredFunnel, version: number): Promise<FunnelVersion> {
    const rows: FunnelVersion[] = await manager.query(
      `select version, applied_at as "appliedAt", restored, applied_by as "appliedBy", definition as state, parts from funnel_version
       where funnel_id = $1 and version = $2`,
      [funnel.id, version],
    );
    if (rows[0]) return rows[0];
    const key = funnel.state.definition.funnel;
    const there =
      funnel.version === 1 ? 'there is only version 1, the first' : `there are 1 to ${funnel.version}`;
    const message = `to: funnel "${key}" has no version ${version}; ${there}`;
    throw new DomainError('FUNNEL_VERSION_NOT_FOUND', message, { key, version, versions: funnel.version });
  }

  /** What has come from other funnels since that version, by object: from which, and with which version. */
  async cameSince(
    manager: EntityManager,
    funnel: StoredFunnel,
    version: number,
  ): Promise<{ object: string; from: string; version: number }[]> {
    return manager.query(
      `select m.key as object, m.value ->> 'funnel' as "from", v.version
       from funnel_version v cross join lateral jsonb_each(v.definition::jsonb -> 'moved' -> 'from') m
       where v.funnel_id = $1 and v.version > $2 order by v.version, m.key`,
      [funnel.id, version],
    );
  }

  /** Of the mails and pages of one funnel or of each, by its key; a funnel of before texts were kept is left out. */
  async keptTexts(funnel?: string): Promise<Map<string, Texts>> {
    const rows: { key: string; texts: Record<string, string> }[] = await this.dataSource.query(
      `select f.key, v.parts -> 'texts' as texts from funnel f join funnel_version v on v.funnel_id = f.id and v.version = f.version
       where v.parts ? 'texts' and ($1::text is null or f.key = $1)`,
      [funnel ?? null],
    );
    const found = new Map<string, Texts>();
    for (const { key, texts } of rows) found.set(key, await this.texts.read(texts));
    return found;
  }

  /** Writes the funnel and its next version. `restored`: the version this one brings back. */
  async save(
    manager: EntityManager,
    state: FunnelState,
    {
      stored,
      parts,
      restored,
      by = null,
    }: {
      stored: StoredFunnel | null;
      parts: FunnelParts;
      restored: number | null;
      by?: string | null | undefined;
    },
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
      'insert into funnel_version (funnel_id, version, definition, parts, restored, applied_at, applied_by) values ($1, $2, $3, $4, $5, $6, $7)',
      [rows[0]?.id, version, json, JSON.stringify(parts), restored, this.clock.now(), by],
    );
  }
}
