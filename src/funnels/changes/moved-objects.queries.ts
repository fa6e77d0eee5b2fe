import type { EntityManager } from 'typeorm';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';

/** What has a name of its own among all funnels, and may go from one to another. A sequence has the key of its funnel. */
interface OwnedObject {
  kind: 'form' | 'product' | 'offer';
  key: string;
  /** Whose it is. */
  funnel: string;
}

export interface MovedObject extends OwnedObject {
  to: string;
}

/** The names of the funnel that belong to others, as long as they are in use there. Served by the unique keys. */
export async function ownedElsewhere(
  manager: EntityManager,
  { funnel, form, products, offers }: FunnelDefinition,
): Promise<OwnedObject[]> {
  return manager.query(
    `select 'form' as kind, slug as key, funnel_key as funnel from form where slug = $2 and funnel_key <> $1 and archived_at is null
     union all select 'product', key, funnel_key from product where key = any($3) and funnel_key <> $1 and archived_at is null
     union all select 'offer', slug, funnel_key from offer where slug = any($4) and funnel_key <> $1 and archived_at is null`,
    [funnel, form.slug, products.map(({ key }) => key), offers.map(({ key }) => key)],
  );
}

/** Whether its funnel is among these and names it no more. */
export function isLeft(
  { kind, key, funnel }: OwnedObject,
  definitions: readonly FunnelDefinition[],
): boolean {
  const owner = definitions.find((one) => one.funnel === funnel);
  if (owner === undefined) return false;
  if (kind === 'form') return owner.form.slug !== key;
  return !owner[kind === 'product' ? 'products' : 'offers'].some((one) => one.key === key);
}

/** What goes from one of the funnels to another when all of them become what they are here. */
export async function movedObjects(
  manager: EntityManager,
  definitions: readonly FunnelDefinition[],
): Promise<MovedObject[]> {
  const moved: MovedObject[] = [];
  for (const definition of definitions)
    for (const owned of await ownedElsewhere(manager, definition))
      if (isLeft(owned, definitions)) moved.push({ ...owned, to: definition.funnel });
  return moved;
}
