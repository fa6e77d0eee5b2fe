import type { EntityManager } from 'typeorm';

/** From now on a note is left of everybody who gets one of these tags with many others at once. */
export async function listenForTags(manager: EntityManager, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  await manager.query('insert into listened_tag select unnest($1::text[]) on conflict do nothing', [names]);
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
