import type { EntityManager } from 'typeorm';

/** From now on a note is left of everybody who gets one of these tags with many others at once. */
export async function listenForTags(manager: EntityManager, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  await manager.query('insert into listened_tag select unnest($1::text[]) on conflict do nothing', [names]);
}

/** As `listenForTags`, of everybody who comes to be on one of the lists, or is taken off it. */
export async function listenForLists(manager: EntityManager, keys: readonly string[]): Promise<void> {
  if (keys.length === 0) return;
  await manager.query('insert into listened_list select unnest($1::text[]) on conflict do nothing', [keys]);
}

/**
 * Takes notes of one tag, at most `most`; null when there is none. Gone with the caller's transaction; two workers take
 * disjoint ones. Called by sequences.advance-due.
 */
export async function takeTagSignals(
  manager: EntityManager,
  most: number,
): Promise<{ tag: string; subscriberIds: string[] } | null> {
  const [rows]: [{ id: string; tag: string }[], number] = await manager.query(
    `delete from tag_signal where id in (
       select id from tag_signal where name = (select name from tag_signal order by id limit 1) order by id limit $1
       for update skip locked)
     returning subscriber_id as id, name as tag`,
    [most],
  );
  const [first] = rows;
  return first ? { tag: first.tag, subscriberIds: [...new Set(rows.map(({ id }) => id))] } : null;
}

/** People who came to be on a list, or were taken off it. */
export interface ListSignal {
  list: string;
  kind: 'list' | 'unlisted';
  subscriberIds: string[];
}

/**
 * As `takeTagSignals`, of one list and one kind of change: those before the first of the other kind, so that who joins,
 * leaves and joins again does so in this order.
 */
export async function takeListSignals(manager: EntityManager, most: number): Promise<ListSignal | null> {
  const [rows]: [(Omit<ListSignal, 'subscriberIds'> & { id: string })[], number] = await manager.query(
    `with first as materialized (select name, kind from list_signal order by id limit 1)
     delete from list_signal where id in (
       select id from list_signal where (name, kind) = (select name, kind from first) and id < coalesce(
         (select min(o.id) from list_signal o, first where o.name = first.name and o.kind <> first.kind), 9223372036854775807)
       order by id limit $1 for update skip locked)
     returning subscriber_id as id, name as list, kind`,
    [most],
  );
  const [first] = rows;
  if (!first) return null;
  return { list: first.list, kind: first.kind, subscriberIds: [...new Set(rows.map(({ id }) => id))] };
}
