import type { EntityManager } from 'typeorm';
import { ownsSql } from '../../sequences/offers/owners.queries.js';
import type { Candidate, Offered } from './upsell.js';

export interface UpsellRow extends Offered {
  /** The first order, after which it is offered. */
  orderId: string;
  takenOrderId: string | null;
}

const UPSELL = `select u.id, u.order_id as "orderId", f.slug, u.kind, u.downsell_slug as downsell, u.answer,
    u.taken_order_id as "takenOrderId", coalesce(t.status in ('paid', 'refunded'), false) as paid
  from upsell u join offer f on f.id = u.offer_id left join orders t on t.id = u.taken_order_id`;

export async function findUpsell(db: EntityManager, id: string): Promise<UpsellRow | null> {
  const rows: UpsellRow[] = await db.query(`${UPSELL} where u.id = $1`, [id]);
  return rows[0] ?? null;
}

/** As `findUpsell`; a second click on it waits for the first. */
export async function lockUpsell(db: EntityManager, id: string): Promise<UpsellRow | null> {
  await db.query('select 1 from upsell where id = $1 for update', [id]);
  return findUpsell(db, id);
}

/** Whether the order is paid, held against its refund until the transaction ends. */
export async function holdPaid(db: EntityManager, orderId: string): Promise<boolean> {
  const rows: unknown[] = await db.query(`select 1 from orders where id = $1 and status = 'paid' for share`, [
    orderId,
  ]);
  return rows.length > 0;
}

/** Oldest first. Served by the unique key of the order and the offer. */
export async function offeredAfter(db: EntityManager, orderId: string): Promise<UpsellRow[]> {
  return db.query(`${UPSELL} where u.order_id = $1 order by u.id`, [orderId]);
}

/** Null when it was offered after this order before, as two requests at once would. */
export async function insertUpsell(
  db: EntityManager,
  { orderId, offerId }: { orderId: string; offerId: string },
  { kind, downsell }: Candidate,
  now: Date,
): Promise<string | null> {
  const rows: { id: string }[] = await db.query(
    `insert into upsell (order_id, offer_id, kind, downsell_slug, created_at) values ($1, $2, $3, $4, $5)
     on conflict (order_id, offer_id) do nothing returning id`,
    [orderId, offerId, kind, downsell, now],
  );
  return rows[0]?.id ?? null;
}

export async function markShown(db: EntityManager, id: string, now: Date): Promise<void> {
  await db.query('update upsell set shown_at = $2 where id = $1 and shown_at is null', [id, now]);
}

/** What waits for an answer and can have none any more. */
export async function withdrawUpsell(db: EntityManager, id: string, now: Date): Promise<void> {
  await db.query(
    `update upsell set answer = 'withdrawn', answered_at = $2 where id = $1 and answer is null`,
    [id, now],
  );
}

export async function answerUpsell(
  db: EntityManager,
  id: string,
  { answer, takenOrderId }: { answer: 'taken' | 'declined'; takenOrderId: string | null },
  now: Date,
): Promise<void> {
  await db.query(
    `update upsell set answer = $2, taken_order_id = $3, answered_at = $4, shown_at = coalesce(shown_at, $4) where id = $1`,
    [id, answer, takenOrderId, now],
  );
}

/** As `ownsSql`. */
export async function owns(
  db: EntityManager,
  subscriberId: string,
  { product, now }: { product: { id: string; key: string }; now: Date },
): Promise<boolean> {
  const owned = ownsSql({
    subscriberId: '$1::bigint',
    productId: '$2::bigint',
    product: '$3::text',
    now: '$4',
  });
  const rows: { owns: boolean }[] = await db.query(`select ${owned} as owns`, [
    subscriberId,
    product.id,
    product.key,
    now,
  ]);
  return rows[0]?.owns === true;
}
