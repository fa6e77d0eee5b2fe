import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { VALUE } from './field-words.js';
import { LOCKS } from '../infra/database/advisory-locks.js';

/** Blocks times fields, a second or two. */
const AT_ONCE = 8_000;

/**
 * $1 how many blocks times fields; the first ones, with all their marks. One statement, so that values and marks are of one
 * moment: a mark that is not seen yet is of a change that is not seen either, and stays. Locks the fields, which cannot be
 * removed meanwhile, no subscriber, and what it writes in the order in which an erasure does.
 */
const RENEW = `
  with field as materialized (select id, key, type from subscriber_field order by id for key share),
  last as materialized (
    select max(m.block) as block from (
      select distinct block from stale_block order by block
       limit (select greatest($1::bigint / greatest(count(*), 1), 1) from field)) m),
  taken as (delete from stale_block where block <= (select block from last) returning block),
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
  locked as materialized (
    select from (select field_id, block from renewed order by field_id, block offset 0) n cross join lateral (
      select from field_block o where o.field_id = n.field_id and o.block = n.block offset 0 for update) o),
  emptied as (
    delete from field_block o using renewed n
     where n.numbers is null and n.texts is null and o.field_id = n.field_id and o.block = n.block
       and (select count(*) from locked) >= 0),
  written as (
    insert into field_block as o (field_id, block, numbers, texts, upto)
    select field_id, block, numbers, texts, upto from renewed
     where (numbers is not null or texts is not null) and (select count(*) from locked) >= 0
     order by field_id, block
    on conflict (field_id, block) do update
      set numbers = excluded.numbers, texts = excluded.texts, upto = excluded.upto
      where (o.numbers, o.texts, o.upto) is distinct from (excluded.numbers, excluded.texts, excluded.upto))
  select exists (select from stale_block where block > (select block from last)) as more`;

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
    let more = true;
    while (more && signal?.aborted !== true) more = await this.renewSome();
  }

  /** Whether there is more to renew. */
  private async renewSome(): Promise<boolean> {
    return this.dataSource.transaction(async (db) => {
      const [{ mine }]: [{ mine: boolean }] = await db.query('select pg_try_advisory_xact_lock($1) as mine', [
        LOCKS.fieldBlocks,
      ]);
      if (!mine) return false;
      // The planner does not know how few blocks are marked, and would rather read all; each is looked up by its key.
      await db.query(
        `select set_config('jit', 'off', true), set_config('enable_hashjoin', 'off', true),
           set_config('enable_mergejoin', 'off', true), set_config('work_mem', '64MB', true)`,
      );
      const [{ more }]: [{ more: boolean }] = await db.query(RENEW, [AT_ONCE]);
      return more;
    });
  }
}
