import type { EntityManager } from 'typeorm';

/**
 * Called by the erasure of a person: their rows in tables that wait or were refused, of which only the cells say whose they
 * are. Reads the rows of the last 30 days.
 */
export async function forgetImportedRows(manager: EntityManager, emailKey: string): Promise<void> {
  await manager.query(
    `delete from import_row where email_key = $1
       or (email_key is null and exists (select 1 from unnest(cells) cell where lower(cell) ~ $2))`,
    [emailKey, wordOf(emailKey)],
  );
}

/** The address by itself, not as a part of another one. */
function wordOf(address: string): string {
  const escaped = address.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  return String.raw`(^|[^[:alnum:]._%+-])${escaped}($|[^[:alnum:]._-])`;
}
