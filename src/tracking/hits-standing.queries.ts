import type { EntityManager } from 'typeorm';
import { countsAsOpened } from '../values/counted-hits.js';
import type { HitRange, HitsStanding } from './hits-standing.js';

/**
 * Called every ten minutes by those who look at hits. By the primary key and tracking_event_waiting: `offset 0` keeps
 * PostgreSQL from looking for the oldest that waits through all hits by the primary key.
 */
export async function hitsStanding(db: EntityManager): Promise<HitsStanding> {
  const [row]: [HitsStanding] = await db.query(
    `select (select coalesce(max(id), 0) from tracking_event) as newest,
       (select min(w.id) from (select id from tracking_event where settles_at is not null offset 0) w) as waiting,
       (select value from setting where key = 'tracking.reclassify') as judged`,
  );
  return row;
}

/** The next hits that count of the ranges above `after`, in their order, at most `limit`. By the primary key. */
export async function countedHits(
  db: EntityManager,
  ranges: readonly HitRange[],
  { after, limit }: { after: string; limit: number },
): Promise<string[]> {
  const rows: { id: string }[] = await db.query(
    `select distinct e.id from unnest($1::bigint[], $2::bigint[], $3::boolean[]) r (after, up_to, judged_anew)
     cross join lateral (
       select e.id from tracking_event e
       where e.id > greatest(r.after, $4::bigint) and e.id <= r.up_to and ${countsAsOpened('e')}
         and (not r.judged_anew or e.earlier is not null)
       order by e.id limit $5::int) e
     order by e.id limit $5::int`,
    [
      ranges.map((range) => range.after),
      ranges.map(({ upTo }) => upTo),
      ranges.map(({ onlyJudgedAnew }) => onlyJudgedAnew),
      after,
      limit,
    ],
  );
  return rows.map(({ id }) => id);
}
