import type { EntityManager } from 'typeorm';
import type { Labelled } from '../lint/between-funnels.js';

/** The own fields of all funnels that bring some, as they are applied. Reads the table of funnels, which is short. */
export async function fieldsOfFunnels(manager: EntityManager): Promise<Labelled[]> {
  return manager.query(
    `select key as funnel, definition #> '{definition,fields}' as fields from funnel
     where definition #> '{definition,fields}' is not null order by key`,
  );
}
