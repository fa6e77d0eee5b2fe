import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { Subscriber } from '../subscribers/subscriber.js';
import { listSubscribers } from '../subscribers/subscribers.queries.js';
import { notFound } from '../values/not-found.js';
import { type SqlCondition } from './compile.js';
import { namedIn, type Leaf } from './condition.js';
import type { EverybodyOptions, ForEverybody } from './compile-for-everybody.js';
import { gapsBetween, PIECE_IDS, type IdPiece } from './id-gaps.js';
import type { Segment, SegmentDraft } from './segment.js';

const SEGMENT = `select g.id, g.key, g.title, g.conditions, g.created_at as "createdAt", g.updated_at as "updatedAt" from segment g`;

/** A set of people that does not fit here is looked through once for each subscriber, which takes minutes. */
const WORK_MEM = '128MB';
/** Asking so many people one by one takes some milliseconds. */
const NEAR_IDS = 4_000n;
const FAR_IDS = 200_000n;
/** So many blocks of 64 people, asked one by one, take less than what `field_block` saves. */
const FEW_MARKS = 400;
/** A segment that takes this long would keep others from the database. */
const LONGEST = '30s';

/** Each with parameters from the number given on. */
interface PeopleCompiler {
  byIndex: (first: number) => SqlCondition;
  ofRange: (first: number, range: { from: string; below: string }) => ForEverybody;
}

/** The SQL of `segment`, and that over subscribers which segments ask. */
@Injectable()
export class SegmentsQueries {
  constructor(private readonly dataSource: DataSource) {}

  async insert({ key, title, conditions }: SegmentDraft, now: Date): Promise<string | null> {
    const rows: { id: string }[] = await this.dataSource.query(
      `insert into segment (key, title, conditions, created_at, updated_at) values ($1, $2, $3, $4, $4)
       on conflict (key) do nothing returning id`,
      [key, title, JSON.stringify(conditions), now],
    );
    return rows[0]?.id ?? null;
  }

  async update(
    id: string,
    { title, conditions }: SegmentDraft,
    now: Date,
    db: EntityManager = this.dataSource.manager,
  ): Promise<void> {
    await db.query('update segment set title = $2, conditions = $3, updated_at = $4 where id = $1', [
      id,
      title,
      JSON.stringify(conditions),
      now,
    ]);
  }

  /** Those that name the tag, locked until the caller's transaction ends. */
  async withTag(db: EntityManager, tag: string): Promise<Segment[]> {
    return db.query(
      `${SEGMENT} where jsonb_path_exists(g.conditions, '$.**.tag ? (@ == $name)', jsonb_build_object('name', $1::text))
       order by g.id for update`,
      [tag],
    );
  }

  async remove(id: string, db: EntityManager): Promise<void> {
    await db.query('delete from segment where id = $1', [id]);
  }

  /** For a change of it: what is read here is what is written over. Throws `SEGMENT_NOT_FOUND`. */
  async withLocked(
    id: string,
    change: (manager: EntityManager, segment: Segment) => Promise<void>,
  ): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      const rows: Segment[] = await manager.query(`${SEGMENT} where g.id = $1 for update`, [id]);
      if (rows[0] === undefined) throw notFound('segment', id);
      await change(manager, rows[0]);
    });
  }

  async find(id: string): Promise<Segment | null> {
    const rows: Segment[] = await this.dataSource.query(`${SEGMENT} where g.id = $1`, [id]);
    return rows[0] ?? null;
  }

  async byKeys(keys: readonly string[], db: EntityManager = this.dataSource.manager): Promise<Segment[]> {
    return db.query(`${SEGMENT} where g.key = any ($1::text[])`, [keys]);
  }

  /** Newest first, below `beforeId`. */
  async page(beforeId: string | undefined, limit: number): Promise<Segment[]> {
    return this.dataSource.query(
      `${SEGMENT} where ($1::bigint is null or g.id < $1) order by g.id desc limit $2`,
      [beforeId ?? null, limit],
    );
  }

  /** By what a tree over everybody is best asked. However it is asked, the answer is the same. */
  async crowd(): Promise<Pick<EverybodyOptions, 'fieldBlocks' | 'middleSignUp' | 'gaps'>> {
    const [row]: [{ fieldBlocks: boolean; middleSignUp: Date | null }] = await this.dataSource.query(
      `select (select count(*) from (select from stale_block limit $1::int + 1) m) <= $1 as "fieldBlocks",
         (select created_at from subscriber where id >= (select (min(id) + max(id)) / 2 from subscriber) order by id limit 1)
           as "middleSignUp"`,
      [FEW_MARKS],
    );
    return { ...row, gaps: gapsBetween(await this.pieces()) };
  }

  /** By the primary key of `subscriber`, two look-ups for each piece; nearly everybody has one. */
  private async pieces(): Promise<IdPiece[]> {
    return this.dataSource.query(
      `with recursive piece as (
         (select id as first from subscriber order by id limit 1)
         union all
         select n.id from piece p cross join lateral (
           select s.id from subscriber s where s.id >= p.first + $1::bigint order by s.id limit 1) n)
       select (p.first >> 6)::float8 as first, l.last from piece p cross join lateral (
         select (s.id >> 6)::float8 as last from subscriber s where s.id < p.first + $1 order by s.id desc limit 1) l
       order by 1`,
      [PIECE_IDS],
    );
  }

  /** Exact, as of now. Takes no lock. Compiled with parameters from $1 on. */
  async count({ of, text, parameters }: ForEverybody): Promise<number> {
    return this.calm(async (db) => {
      const rows: { count: number }[] = await db.query(
        of === 'blocks'
          ? `select coalesce(sum(bit_count(x.w::bit(64))), 0)::int as count from (${text}) x`
          : `select count(*)::int as count from subscriber s where ${text}`,
        parameters,
      );
      return rows[0]?.count ?? 0;
    });
  }

  /**
   * Newest first, below `beforeId`. The people next to the page's beginning are asked one by one, among whom nearly every
   * page is found. Where too few of them belong to the segment the others may be anywhere, and going on one by one went
   * through everybody: then each set is read, of some more people and at last of all.
   */
  async people(
    compile: PeopleCompiler,
    { beforeId, limit }: { beforeId: string | undefined; limit: number },
  ): Promise<Subscriber[]> {
    return this.calm(async (db) => {
      const below = BigInt(beforeId ?? (await idBehindTheLast(db)));
      const [near, far] = [atLeastOne(below - NEAR_IDS), atLeastOne(below - NEAR_IDS - FAR_IDS)];
      const { text, parameters } = compile.byIndex(4);
      const condition = { text: `s.id >= $3::bigint and ${text}`, parameters: [String(near), ...parameters] };
      const found = await listSubscribers(db, { beforeId: String(below), limit, condition });
      for (const [from, end] of [
        [far, near],
        [1n, far],
      ] as const) {
        if (found.length >= limit || from >= end) continue;
        const crowd = compile.ofRange(2, { from: String(from), below: String(end) });
        const ids = await idsOf(db, crowd, limit - found.length);
        found.push(...(await listSubscribers(db, { beforeId: undefined, limit, condition: anyOf(ids) })));
      }
      return found;
    });
  }

  /** Which of the things that the leaves name are not there. Tags need not be: nobody has it yet. */
  async missing(leaves: readonly Leaf[]): Promise<Set<string>> {
    const named = leaves.flatMap((leaf) => namedIn(leaf));
    if (named.length === 0) return new Set();
    const rows: { name: string }[] = await this.dataSource.query(
      `select n.kind || ' ' || n.key as name from unnest($1::text[], $2::text[]) as n (kind, key) where not case n.kind
         when 'list' then exists (select 1 from list where key = n.key)
         when 'sequence' then exists (select 1 from sequence where key = n.key)
         when 'funnel' then exists (select 1 from funnel where key = n.key)
           or exists (select 1 from sequence where funnel_key = n.key)
         when 'form' then exists (select 1 from form where slug = n.key)
         when 'product' then exists (select 1 from product where key = n.key)
         when 'split test' then exists (select 1 from experiment where test = n.key)
         when 'arm' then exists (
             select 1 from experiment x where x.test = split_part(n.key, ' of ', 2)
               and (x.terms -> 'arms' @> jsonb_build_array(jsonb_build_object('key', split_part(n.key, ' of ', 1)))
                 or (split_part(n.key, ' of ', 1) = 'holdout' and (x.terms ->> 'holdoutBps')::int > 0)))
           or exists (
             select 1 from broadcast b cross join generate_series(1, jsonb_array_length(b.split -> 'arms')) place
             where chr(ascii('a') + place - 1) || ' of broadcast ' || b.id = n.key)
           or exists (select 1 from broadcast b where b.split ? 'holdout' and 'holdout of broadcast ' || b.id = n.key)
           or not (exists (select 1 from experiment where test = split_part(n.key, ' of ', 2))
             or exists (select 1 from broadcast where 'broadcast ' || id = split_part(n.key, ' of ', 2)))
         when 'affiliate' then n.key in ('any', 'self') or exists (select 1 from affiliate where code = n.key)
         else exists (select 1 from broadcast where id::text = n.key) end`,
      [named.map(([kind]) => kind), named.map(([, key]) => key)],
    );
    return new Set(rows.map(({ name }) => name));
  }

  /** Drafts and broadcasts under way that were given the segment by its key. */
  async broadcastsWith(key: string, db: EntityManager): Promise<string[]> {
    const rows: { title: string }[] = await db.query(
      `select title from broadcast where state not in ('done', 'cancelled')
         and (audience->'segments'->'any' ? $1 or audience->'segments'->'none' ? $1) order by id limit 5`,
      [key],
    );
    return rows.map(({ title }) => title);
  }

  /**
   * Compiling a plan to machine code takes longer than most of these questions. Sets beside each other would each be
   * read by one process, the largest too, if not for `enable_parallel_append`: so all read each. One set of a small table,
   * which one process would read alone, would keep all the others from it: hence no least size.
   * Blocks of field values are hardly ever the same twice, and to remember each took a tenth.
   */
  private async calm<T>(work: (db: EntityManager) => Promise<T>): Promise<T> {
    return this.dataSource.transaction(async (db) => {
      await db.query(
        `select set_config('work_mem', $1, true), set_config('jit', 'off', true), set_config('statement_timeout', $2, true),
           set_config('enable_parallel_append', 'off', true), set_config('min_parallel_table_scan_size', '0', true),
           set_config('min_parallel_index_scan_size', '0', true), set_config('enable_memoize', 'off', true)`,
        [WORK_MEM, LONGEST],
      );
      return work(db);
    });
  }
}

/**
 * The newest people of what was compiled with parameters from $2 on. Of rows all ids are found first, by several
 * processes; the primary key, from its end, would be followed by one.
 */
async function idsOf(
  db: EntityManager,
  { of, text, parameters }: ForEverybody,
  limit: number,
): Promise<string[]> {
  const rows: { id: string }[] = await db.query(
    of === 'blocks'
      ? `select (x.b << 6) + i as id
           from (select x.b, x.w from (${text}) x where x.w <> 0 order by x.b desc limit $1::int) x
           cross join generate_series(0, 63) i where (x.w >> i) & 1 = 1 order by 1 desc limit $1::int`
      : `select x.id from (select s.id from subscriber s where ${text} offset '0') x order by x.id desc limit $1::int`,
    [limit, ...parameters],
  );
  return rows.map(({ id }) => id);
}

async function idBehindTheLast(db: EntityManager): Promise<string> {
  const rows: { id: string }[] = await db.query('select coalesce(max(id), 0) + 1 as id from subscriber');
  return rows[0]?.id ?? '1';
}

function anyOf(ids: readonly string[]): SqlCondition {
  return { text: 's.id = any ($3::bigint[])', parameters: [ids] };
}

function atLeastOne(id: bigint): bigint {
  return id > 1n ? id : 1n;
}
