import type { EntityManager } from 'typeorm';

/**
 * Condition on `r`, a row of `import_row`, in SQL: it is of the person with the key. Of a refused row only the cells say
 * whose it is. Reads the rows of the last 30 days.
 */
export function rowsOf(r: string, emailKey: string): string {
  return `(${r}.email_key = ${emailKey}
    or (${r}.email_key is null and exists (select 1 from unnest(${r}.cells) cell where lower(cell) ~ (${wordOf(emailKey)}))))`;
}

/** The address by itself, not as a part of another one. */
function wordOf(emailKey: string): string {
  const escaped = String.raw`regexp_replace(${emailKey}, '[].*+?^${'$'}{}()|[\\]', '\\\&', 'g')`;
  return `'(^|[^[:alnum:]._%+-])' || ${escaped} || '($|[^[:alnum:]._-])'`;
}

/** Called by the erasure of a person: their rows in tables that wait or were refused. */
export async function forgetImportedRows(manager: EntityManager, emailKey: string): Promise<void> {
  await manager.query(`delete from import_row r where ${rowsOf('r', '$1::text')}`, [emailKey]);
}
