import type { EntityManager } from 'typeorm';
import type { EarnedCommission } from './commission.js';
import type { CommissionRecord } from './commission-record.js';
import type { Attribution } from './touch.js';

const COMMISSION = `select c.id, c.affiliate_id as "affiliateId", a.code as "affiliateCode", a.name as "affiliateName",
    c.order_id as "orderId", o.number as "orderNumber", o.funnel_key as "funnelKey", p.key as "productKey",
    p.name as "productName", c.tier::int as tier, c.base_minor::float8 as "baseMinor", c.rate_bps as "rateBps",
    c.amount_minor::float8 as "amountMinor", c.currency, c.refusal, c.via, c.attribution, c.touched_at as "touchedAt",
    c.due_at as "dueAt", c.payout_id as "payoutId", y.state as "payoutState", c.created_at as "createdAt",
    (select coalesce(sum(b.amount_minor), 0)::float8 from clawback b where b.commission_id = c.id) as "clawedBackMinor"
  from commission c join affiliate a on a.id = c.affiliate_id join orders o on o.id = c.order_id
    join order_line l on l.id = c.order_line_id join product p on p.id = l.product_id left join payout y on y.id = c.payout_id`;

export async function findCommission(db: EntityManager, id: string): Promise<CommissionRecord | null> {
  const rows: CommissionRecord[] = await db.query(`${COMMISSION} where c.id = $1`, [id]);
  return rows[0] ?? null;
}

/** Of one order, in the order of its lines and tiers. */
export async function commissionsOfOrder(db: EntityManager, orderId: string): Promise<CommissionRecord[]> {
  return db.query(`${COMMISSION} where c.order_id = $1 order by c.order_line_id, c.tier`, [orderId]);
}

export interface CommissionPage {
  beforeId?: string | undefined;
  limit: number;
  affiliateId?: string | undefined;
  orderId?: string | undefined;
  payoutId?: string | undefined;
}

/** Newest first. Served by commission_affiliate, commission_order and commission_payout. */
export async function listCommissions(db: EntityManager, page: CommissionPage): Promise<CommissionRecord[]> {
  return db.query(
    `${COMMISSION} where ($1::bigint is null or c.id < $1) and ($3::bigint is null or c.affiliate_id = $3)
       and ($4::bigint is null or c.order_id = $4) and ($5::bigint is null or c.payout_id = $5) order by c.id desc limit $2`,
    [
      page.beforeId ?? null,
      page.limit,
      page.affiliateId ?? null,
      page.orderId ?? null,
      page.payoutId ?? null,
    ],
  );
}

/** One row for each line and tier of an order, however often it is told: the second time changes nothing. */
export async function insertCommissions(
  db: EntityManager,
  earned: readonly EarnedCommission[],
  order: {
    id: string;
    currency: string;
    via: string;
    attribution: Attribution;
    touchedAt: Date;
    dueAt: Date;
    now: Date;
  },
): Promise<void> {
  for (const { affiliateId, lineId, tier, baseMinor, rateBps, amountMinor, refusal } of earned) {
    await db.query(
      `insert into commission (affiliate_id, order_id, order_line_id, tier, base_minor, rate_bps, amount_minor, currency,
         refusal, via, touched_at, due_at, created_at, attribution)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) on conflict (order_line_id, tier) do nothing`,
      [
        ...[affiliateId, order.id, lineId, tier, baseMinor, rateBps, amountMinor, order.currency],
        ...[refusal, order.via, order.touchedAt, order.dueAt, order.now, order.attribution],
      ],
    );
  }
}

interface OpenCommission {
  id: string;
  affiliateId: string;
  lineId: string;
  /** What was paid for the line. */
  baseMinor: number;
  amountMinor: number;
  clawedBackMinor: number;
  currency: string;
  dueAt: Date;
}

/** What an order earned, locked against a refund of it that runs at the same time. */
export async function lockCommissions(db: EntityManager, orderId: string): Promise<OpenCommission[]> {
  // Locked first and summed after, so that what is summed is what the refund before us has left.
  await db.query('select 1 from commission where order_id = $1 order by id for update', [orderId]);
  return db.query(
    `select c.id, c.affiliate_id as "affiliateId", c.order_line_id as "lineId", c.base_minor::float8 as "baseMinor", c.amount_minor::float8 as "amountMinor", c.currency, c.due_at as "dueAt",
        (select coalesce(sum(b.amount_minor), 0)::float8 from clawback b where b.commission_id = c.id) as "clawedBackMinor"
       from commission c where c.order_id = $1 and c.amount_minor > 0 order by c.id`,
    [orderId],
  );
}

export interface PartyRow {
  id: string;
  mailbox: string | null;
  isActive: boolean;
}

/** The affiliate and who recruited them, if somebody did. */
export async function partiesOf(
  db: EntityManager,
  affiliateId: string,
): Promise<{ affiliate: PartyRow | null; recruiter: PartyRow | null }> {
  const rows: (PartyRow & { isFirst: boolean })[] = await db.query(
    `select a.id, a.mailbox, a.state = 'active' as "isActive", a.id = $1 as "isFirst" from affiliate a
      where a.id = $1 or a.id = (select recruiter_id from affiliate where id = $1)`,
    [affiliateId],
  );
  return {
    affiliate: rows.find(({ isFirst }) => isFirst) ?? null,
    recruiter: rows.find(({ isFirst }) => !isFirst) ?? null,
  };
}

/** The keys of the addresses of subscribers. */
export async function emailKeysOf(db: EntityManager, subscriberIds: readonly string[]): Promise<string[]> {
  const rows: { key: string }[] = await db.query(
    'select email_key as key from subscriber where id = any ($1)',
    [subscriberIds],
  );
  return rows.map(({ key }) => key);
}
