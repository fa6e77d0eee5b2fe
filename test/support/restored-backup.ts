import type { DataSource } from 'typeorm';

const NUMBERED = `from pg_sequences where schemaname = current_schema() and data_type = 'bigint'::regtype`;

/**
 * A backup of the whole database in place, as the ledger and the numbers of rows show it. `restore` empties the tables that
 * were empty then, so whatever is to be lost has to be in those.
 */
export async function backUp(db: DataSource): Promise<{ restore: () => Promise<void> }> {
  const tables: { name: string }[] = await db.query(
    `select format('%I', relname) as name from pg_class where relkind = 'r' and relnamespace = current_schema()::regnamespace`,
  );
  const empty: string[] = [];
  for (const { name } of tables) if (await isEmpty(db, name)) empty.push(name);
  const ledger: { value: unknown }[] = await db.query(
    `select value from setting where key = 'ledger.generation'`,
  );
  const numbers: { sequence: string; last: string | null }[] = await db.query(
    `select format('%I', sequencename) as sequence, last_value as last ${NUMBERED}`,
  );
  return {
    restore: async () => {
      const filled: string[] = [];
      for (const name of empty) if (!(await isEmpty(db, name))) filled.push(name);
      if (filled.length > 0) await db.query(`truncate ${filled.join(', ')} cascade`);
      await db.query(`update setting set value = $1 where key = 'ledger.generation'`, [
        JSON.stringify(ledger[0]?.value),
      ]);
      for (const { sequence, last } of numbers)
        await db.query('select setval($1::regclass, $2, $3)', [sequence, last ?? 1, last !== null]);
    },
  };
}

async function isEmpty(db: DataSource, table: string): Promise<boolean> {
  const rows: unknown[] = await db.query(`select 1 from ${table} limit 1`);
  return rows.length === 0;
}
