import type { EntityManager } from 'typeorm';

export interface KnownNames {
  tags: string[];
  lists: string[];
  sequences: string[];
  funnels: string[];
  forms: string[];
  products: string[];
  /** With the words that conditions know beside them. */
  affiliates: string[];
}

/** Names to choose from in a segment's form; of thousands, the newest. */
export async function knownNames(db: EntityManager): Promise<KnownNames> {
  const rows: KnownNames[] = await db.query(
    `select array(select name from tag order by id desc limit 300) as tags,
            array(select key from list order by id desc limit 300) as lists,
            array(select key from sequence order by id desc limit 300) as sequences,
            array(select distinct funnel_key from sequence limit 300) as funnels,
            array(select slug from form where archived_at is null order by id desc limit 300) as forms,
            array(select key from product order by id desc limit 300) as products,
            array['any', 'self'] || array(select code from affiliate order by id desc limit 300) as affiliates`,
  );
  return (
    rows[0] ?? { tags: [], lists: [], sequences: [], funnels: [], forms: [], products: [], affiliates: [] }
  );
}
