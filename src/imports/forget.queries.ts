import type { EntityManager } from 'typeorm';

/**
 * Condition on `r`, a row of `import_row`, in SQL: it is of the person with the key. Of a refused row the cells say
 * whose it is. Reads the rows of the last 30 days.
 */
export function rowsOf(r: string, emailKey: string): string {
  return `(${r}.email_key = ${emailKey}
    or exists (select 1 from unnest(${r}.cells) cell where lower(cell) ~ (${wordOf(emailKey)})))`;
}

/** The address by itself, not as a part of another one. */
function wordOf(emailKey: string): string {
  const escaped = String.raw`regexp_replace(${emailKey}, '[].*+?^${'$'}{}()|[\\]', '\\\&', 'g')`;
  return `'(^|[^[:alnum:]._%+-])' || ${escaped} || '($|[^[:alnum:]._-])'`;
}

/** Whether the first row of a table that is shown before it is taken names them; `cells` is JSON. */
const isShown = (cells: string, emailKey: string): string =>
  `exists (select 1 from jsonb_array_elements_text(${cells}) cell where lower(cell) ~ (${wordOf(emailKey)}))`;

/**
 * Called by the erasure of a person: their rows in tables that wait or were refused, and among those that are shown of a
 * table before it is taken. Locks the imports before their rows, as who reads a table does.
 */
export async function forgetImportedRows(manager: EntityManager, emailKey: string): Promise<void> {
  await manager.query(
    `update import_job j set preview = jsonb_set(j.preview, '{tables}', (
       select jsonb_agg(jsonb_set(t.shown, '{samples}', (
           select coalesce(jsonb_agg(s.cells order by s.place), '[]')
           from jsonb_array_elements(t.shown->'samples') with ordinality s (cells, place)
           where not ${isShown('s.cells', '$1::text')})) order by t.place)
       from jsonb_array_elements(j.preview->'tables') with ordinality t (shown, place)))
     where j.preview is not null and exists (
       select 1 from jsonb_array_elements(j.preview->'tables') t (shown), jsonb_array_elements(t.shown->'samples') s (cells)
       where ${isShown('s.cells', '$1::text')})`,
    [emailKey],
  );
  await manager.query(`delete from import_row r where ${rowsOf('r', '$1::text')}`, [emailKey]);
}
