import type { EntityManager } from 'typeorm';
import type { RefundPlan } from './refund.js';

/** The refund that was told under this key before; null for a new one. Served by the unique key of the order and the key. */
export async function findRefund(
  db: EntityManager,
  orderId: string,
  key: string,
): Promise<{ id: string; amountMinor: number; wish: string | null } | null> {
  const rows: { id: string; amountMinor: number; wish: string | null }[] = await db.query(
    'select id, amount_minor::float8 as "amountMinor", wish from refund where order_id = $1 and key = $2',
    [orderId, key],
  );
  return rows[0] ?? null;
}

interface NewRefund {
  orderId: string;
  currency: string;
  key: string | null;
  /** As it was asked for, by `wishText`. */
  wish: string;
  reason: string | null;
  at: Date;
}

/** The caller holds the order's lock. Returns the id of the refund. */
export async function insertRefund(
  db: EntityManager,
  { orderId, currency, key, wish, reason, at }: NewRefund,
  { amountMinor, parts, takenBack, isWhole }: RefundPlan,
): Promise<string> {
  const rows: { id: string }[] = await db.query(
    'insert into refund (order_id, key, wish, amount_minor, currency, reason, at) values ($1, $2, $3, $4, $5, $6, $7) returning id',
    [orderId, key, wish, amountMinor, currency, reason, at],
  );
  const id = rows[0]?.id ?? '';
  for (const part of parts)
    await db.query('insert into refund_line (refund_id, order_line_id, amount_minor) values ($1, $2, $3)', [
      ...[id, part.lineId, part.amountMinor],
    ]);
  await db.query('update order_line set taken_back_at = $2 where id = any ($1)', [takenBack, at]);
  await db.query(
    `update orders set refunded_minor = refunded_minor + $2, status = case when $3 then 'refunded' else status end,
       refunded_at = case when $3 then $4::timestamptz end, refund_reason = case when $3 then $5 end where id = $1`,
    [orderId, amountMinor, isWhole, at, reason],
  );
  return id;
}
