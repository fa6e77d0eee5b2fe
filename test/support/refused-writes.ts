import type { DataSource } from 'typeorm';

/** As with a full disk, a standby or a bug: the tables answer, and take nothing, with this SQLSTATE. */
export async function refuseWrites(db: DataSource, code: string, tables: readonly string[]): Promise<void> {
  await db.query(
    `create function no_room() returns trigger language plpgsql as
     $$ begin raise exception 'no room on the device' using errcode = '${code}'; end $$`,
  );
  for (const table of tables)
    await db.query(
      `create trigger no_room before insert or update on ${table} for each row execute function no_room()`,
    );
}

export async function takeWrites(db: DataSource): Promise<void> {
  await db.query('drop function if exists no_room cascade');
}
