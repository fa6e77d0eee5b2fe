import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { VALUE } from './field-words.js';

/** Any constant: two who renewed the same blocks would wait for each other's rows. */
const RENEWING = 7_311_402_616;
/** For two fields of all their people, a second or two. */
const MARKS_AT_ONCE = 4_000;

/**
 * $1 how many marks. One statement, so that values and marks are of one moment: a mark that is not seen yet is of a change
 * that is not seen either, and stays. Locks the fields, which cannot be removed meanwhile, and no subscriber.
 */
const RENEW = `
  with field as materialized (select id, key, type from subscriber_field order by id for key share),
  taken as (
    delete from stale_block where id <= (select max(id) from (select id from stale_block order by id limit $1) m) returning block),
  renewed as materialized (
    select f.id as field_id, b.block, case when f.type = 'number' then n.held::float8[] end as numbers,
        case when f.type <> 'number' then n.held end as texts, n.upto
      from (select distinct block from taken) b cross join field f cross join lateral (
        select array_agg(w.value order by w.place) as held, 0::bigint || array_agg(w.upto order by w.place) as upto from (
          select g.value, row_number() over in_order as place, bit_or(g.mask) over in_order as upto from (
            select v.value, bit_or(1::bigint << v.place) as mask from (
              select (s.id & 63)::int as place, ${VALUE} as value from subscriber s
               where s.id >= b.block << 6 and s.id < (b.block + 1) << 6 and s.fields ? f.key offset 0) v
             where v.value is not null group by v.value) g
          window in_order as (order by case when f.type = 'number' then g.value::float8 end, g.value collate "C")) w) n),
  emptied as (
    delete from field_block o using renewed n where n.numbers is null and n.texts is null and o.field_id = n.field_id and o.block = n.block),
  written as (
    insert into field_block as o (field_id, block, numbers, texts, upto)
    select field_id, block, numbers, texts, upto from renewed where numbers is not null or texts is not null
     order by field_id, block
    on conflict (field_id, block) do update
      set numbers = excluded.numbers, texts = excluded.texts, upto = excluded.upto
      where (o.numbers, o.texts, o.upto) is distinct from (excluded.numbers, excluded.texts, excluded.upto))
  select count(*)::int as marks from taken`;

/**
 * Values of own fields by blocks of people, for counts over everybody. Triggers on `subscriber` mark the blocks that are
 * out of date, which are read from the people's own rows until they are renewed here: no count waits for it, and none is
 * wrong without it. Owns `field_block` and `stale_block`.
 */
@Injectable()
export class FieldBlocksService {
  constructor(private readonly dataSource: DataSource) {}

  /** Renews what is marked until nothing is or the signal says stop. Leaves it to another process that is at it. */
  async renew(signal?: AbortSignal): Promise<void> {
    let marks = MARKS_AT_ONCE;
    while (marks === MARKS_AT_ONCE && signal?.aborted !== true) marks = await this.renewSome();
  }

  private async renewSome(): Promise<number> {
    return this.dataSource.transaction(async (db) => {
      const [{ mine }]: [{ mine: boolean }] = await db.query('select pg_try_advisory_xact_lock($1) as mine', [
        RENEWING,
      ]);
      if (!mine) return 0;
      // The planner does not know how few blocks are marked, and would rather read all; each is looked up by its key.
      await db.query(
        `select set_config('jit', 'off', true), set_config('enable_hashjoin', 'off', true),
           set_config('enable_mergejoin', 'off', true), set_config('work_mem', '64MB', true)`,
      );
      const [{ marks }]: [{ marks: number }] = await db.query(RENEW, [MARKS_AT_ONCE]);
      return marks;
    });
  }
}
