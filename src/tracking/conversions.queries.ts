import type { EntityManager } from 'typeorm';

export interface ConversionRow {
  id: string;
  kind: 'signup' | 'confirmation' | 'order';
  funnelKey: string;
  subscriberId: string | null;
  messageId: string | null;
  orderId: string | null;
  amountMinor: number | null;
  currency: string | null;
  at: Date;
}

/** Newest first, below `beforeId`; `funnelKey` is served by conversion_funnel. */
export async function listConversions(
  db: EntityManager,
  page: {
    beforeId: string | undefined;
    limit: number;
    kind?: string | undefined;
    funnelKey?: string | undefined;
  },
): Promise<ConversionRow[]> {
  return db.query(
    `select id, kind, funnel_key as "funnelKey", subscriber_id as "subscriberId", message_id as "messageId",
            order_id as "orderId", amount_minor::float8 as "amountMinor", currency, at
       from conversion
      where ($1::bigint is null or id < $1) and ($3::text is null or kind = $3) and ($4::text is null or funnel_key = $4)
      order by id desc limit $2`,
    [page.beforeId ?? null, page.limit, page.kind ?? null, page.funnelKey ?? null],
  );
}
