import type { EntityManager } from 'typeorm';

interface BounceNames {
  addresses: ReadonlyMap<string, string>;
  titles: ReadonlyMap<string, string>;
}

/** Whom the reports of a page are about, by id; who was erased has no address any more. By primary keys. */
export async function bounceNames(
  db: EntityManager,
  rows: readonly { subscriberId: string | null; broadcastId: string | null }[],
): Promise<BounceNames> {
  const people: { id: string; email: string }[] = await db.query(
    'select id, email from subscriber where id = any($1::bigint[])',
    [rows.flatMap(({ subscriberId }) => subscriberId ?? [])],
  );
  const broadcasts: { id: string; title: string }[] = await db.query(
    'select id, title from broadcast where id = any($1::bigint[])',
    [rows.flatMap(({ broadcastId }) => broadcastId ?? [])],
  );
  return {
    addresses: new Map(people.map(({ id, email }) => [id, email])),
    titles: new Map(broadcasts.map(({ id, title }) => [id, title])),
  };
}
