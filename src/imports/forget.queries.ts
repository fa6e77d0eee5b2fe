import type { EntityManager } from 'typeorm';

/** Called by the erasure of a person: their rows in tables that wait or were refused. Reads the rows of the last 30 days. */
export async function forgetImportedRows(manager: EntityManager, emailKey: string): Promise<void> {
  await manager.query('delete from import_row where email_key = $1', [emailKey]);
}
