import type { EntityManager } from 'typeorm';

interface ProductChoice {
  key: string;
  name: string;
  /** Null for a product that makes nobody a member by being bought. */
  membership: string | null;
  isArchived: boolean;
}

/** To choose from; those that make their buyer a member come first. Installations have tens of products. */
export async function productChoices(db: EntityManager): Promise<ProductChoice[]> {
  return db.query(
    `select key, name, membership, archived_at is not null as "isArchived" from product
      order by membership is null, lower(name), id limit 500`,
  );
}
