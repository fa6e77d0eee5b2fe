/** A data source, a transaction, or a connection of `pg`. */
export interface Queries {
  query(sql: string, values?: unknown[]): Promise<unknown>;
}

/** The value under a key of `setting`; null when there is none. By primary key. */
export async function readSetting<T>(db: Queries, key: string): Promise<T | null> {
  const rows = (await db.query('select value from setting where key = $1', [key])) as { value: T }[];
  return rows[0]?.value ?? null;
}

/** In place of what is there. `at`: when it was set; by the database's clock when it is left out. */
export async function putSetting(db: Queries, key: string, value: object, at?: Date): Promise<void> {
  await db.query(
    `insert into setting (key, value, updated_at) values ($1, $2, coalesce($3, clock_timestamp()))
     on conflict (key) do update set value = excluded.value, updated_at = excluded.updated_at`,
    [key, JSON.stringify(value), at ?? null],
  );
}
