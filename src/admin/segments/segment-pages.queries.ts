import type { EntityManager } from 'typeorm';
import type { Choice, NameList } from './segment-leaves.js';

type KnownNames = Record<Exclude<NameList, 'fields'>, Choice[]>;

const named = (value: string, label: string, from: string): string =>
  `(select coalesce(jsonb_agg(jsonb_build_object('value', n.value, 'label', n.label) order by n.place), '[]')
      from (select ${value} as value, ${label} as label, row_number() over () as place from ${from} limit 300) n)`;

/** Names to choose from in a segment's form, with the titles that people know them by; of thousands, the newest. */
export async function knownNames(db: EntityManager): Promise<KnownNames> {
  const rows: [KnownNames] = await db.query(
    `select ${named('name', 'name', '(select name from tag order by id desc) t')} as tags,
       ${named('key', 'title', '(select key, title from list order by id desc) l')} as lists,
       ${named('key', 'title', '(select key, title from sequence order by id desc) s')} as sequences,
       ${named('key', 'title', '(select key, title from funnel order by id desc) f')} as funnels,
       ${named('slug', 'slug', '(select slug from form where archived_at is null order by id desc) f')} as forms,
       ${named('key', 'name', '(select key, name from product order by id desc) p')} as products,
       ${named('code', 'code', '(select code from affiliate order by id desc) a')} as affiliates,
       ${named('id::text', 'title', '(select id, title from broadcast order by id desc) b')} as broadcasts,
       ${named('step', 'funnel_key', STEPS)} as steps,
       ${named('arm', 'test', ARMS)} as arms,
       ${named('name', 'name', EVENTS)} as events`,
  );
  return rows[0];
}

/** Of the versions that are published; the same key in two funnels stands there twice. */
const STEPS = `(select n.value ->> 'key' as step, q.funnel_key from sequence q join sequence_version v on v.id = q.current_version_id
    cross join lateral jsonb_array_elements(v.definition -> 'nodes') with ordinality as n (value, place)
  where n.value ->> 'kind' in ('email', 'offer', 'split') order by q.id desc, n.place) s`;

const ARMS = `(select a.value ->> 'key' as arm, max(x.test) as test from experiment x
    cross join lateral jsonb_array_elements(x.terms -> 'arms') a
  group by a.value ->> 'key' order by max(x.id) desc) x`;

/** Each name by one look into subscriber_event_name, however many events there are of it. */
const EVENTS = `(with recursive e as (
    (select name from subscriber_event order by name limit 1)
    union all
    select (select v.name from subscriber_event v where v.name > e.name order by v.name limit 1) from e where e.name is not null)
  select name from e where name is not null limit 300) e`;
