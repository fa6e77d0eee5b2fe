import type { EntityManager } from 'typeorm';
import type { Offer, Product } from './offer.js';

const PRODUCT_COLUMNS = (table: string): string => `jsonb_build_object(
  'id', ${table}.id::text, 'key', ${table}.key, 'funnelKey', ${table}.funnel_key, 'name', ${table}.name,
  'description', ${table}.description, 'fileIds', ${table}.file_ids, 'licence', ${table}.licence,
  'membership', ${table}.membership,
  'price', jsonb_build_object('amountMinor', ${table}.amount_minor, 'currency', ${table}.currency))`;

const OFFER = `select o.id, o.slug, o.funnel_key as "funnelKey", o.content, o.discount_bps as "discountBps",
    o.personal_deadline as "personalDeadline", o.upsell_slug as upsell, o.downsell_slug as downsell, o.sender, ${PRODUCT_COLUMNS('p')} as product,
    case when b.id is not null then ${PRODUCT_COLUMNS('b')} end as bump
  from offer o join product p on p.id = o.product_id left join product b on b.id = o.bump_product_id`;

/** For the public pages, which show no archived offer. Served by the unique key of `slug`. */
export async function findOffer(db: EntityManager, slug: string): Promise<Offer | null> {
  const rows: Offer[] = await db.query(`${OFFER} where o.slug = $1 and o.archived_at is null`, [slug]);
  return rows[0] ?? null;
}

/** As `findOffer`, of those that are archived. */
export async function findEndedOffer(db: EntityManager, slug: string): Promise<Offer | null> {
  const rows: Offer[] = await db.query(`${OFFER} where o.slug = $1 and o.archived_at is not null`, [slug]);
  return rows[0] ?? null;
}

/** For an order, which outlives the offer it came from. */
export async function findOfferById(db: EntityManager, id: string): Promise<Offer | null> {
  const rows: Offer[] = await db.query(`${OFFER} where o.id = $1`, [id]);
  return rows[0] ?? null;
}

interface ListPage {
  /** Undefined starts at the newest. */
  beforeId?: string | undefined;
  limit: number;
}

/** For the API. Newest first. */
export async function listOffers(db: EntityManager, { beforeId, limit }: ListPage): Promise<Offer[]> {
  return db.query(
    `${OFFER} where ($1::bigint is null or o.id < $1) and o.archived_at is null order by o.id desc limit $2`,
    [beforeId ?? null, limit],
  );
}

/** For publishing and the API. Served by the unique key of `key`. */
export async function findProduct(db: EntityManager, key: string): Promise<Product | null> {
  const rows: { product: Product }[] = await db.query(
    `select ${PRODUCT_COLUMNS('p')} as product from product p where p.key = $1 and p.archived_at is null`,
    [key],
  );
  return rows[0]?.product ?? null;
}

/** For the API. Newest first. */
export async function listProducts(db: EntityManager, { beforeId, limit }: ListPage): Promise<Product[]> {
  const rows: { product: Product }[] = await db.query(
    `select ${PRODUCT_COLUMNS('p')} as product from product p
      where ($1::bigint is null or p.id < $1) and p.archived_at is null order by p.id desc limit $2`,
    [beforeId ?? null, limit],
  );
  return rows.map(({ product }) => product);
}

/** Whom a mail was sent to, for a visitor who came through one of its links. */
export async function recipientOf(db: EntityManager, messageId: string): Promise<string | null> {
  const rows: { subscriberId: string | null }[] = await db.query(
    `select subscriber_id as "subscriberId" from message where id = $1`,
    [messageId],
  );
  return rows[0]?.subscriberId ?? null;
}
