import type { EntityManager } from 'typeorm';
import type { Labelled } from '../lint/between-funnels.js';

/**
 * The own fields of all funnels that bring some, as they are applied; of those that are archived, of `own` alone: no file of the
 * others can give a label anew. Reads the table of funnels, which is short.
 */
export async function fieldsOfFunnels(manager: EntityManager, own: string): Promise<Labelled[]> {
  return manager.query(
    `select key as funnel, definition #> '{definition,fields}' as fields from funnel
     where definition #> '{definition,fields}' is not null and (archived_at is null or key = $1) order by key`,
    [own],
  );
}
