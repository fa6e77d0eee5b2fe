import type { EntityManager } from 'typeorm';

/** False on a standby, or where it was set to be read alone. A full disk shows itself in a write alone. */
export async function takesWrites(db: EntityManager): Promise<boolean> {
  const rows: unknown[] = await db.query(`select 1 where current_setting('transaction_read_only') = 'off'`);
  return rows.length > 0;
}
