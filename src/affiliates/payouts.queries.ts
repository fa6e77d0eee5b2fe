import type { EntityManager } from 'typeorm';
import type { Payout, PayoutState } from './affiliate.js';

const PAYOUT = `select p.id, p.affiliate_id as "affiliateId", a.code as "affiliateCode", a.name as "affiliateName",
    a.email as "affiliateEmail", jsonb_build_object('amountMinor', p.amount_minor, 'currency', p.currency) as amount, p.state,
    p.created_at as "createdAt", p.paid_at as "paidAt", p.cancelled_at as "cancelledAt"
  from payout p join affiliate a on a.id = p.affiliate_id`;

export async function findPayout(db: EntityManager, id: string): Promise<Payout | null> {
  const rows: Payout[] = await db.query(`${PAYOUT} where p.id = $1`, [id]);
  return rows[0] ?? null;
}

export interface PayoutPage {
  beforeId?: string | undefined;
  limit: number;
  state?: PayoutState | undefined;
  affiliateId?: string | undefined;
}

/** Newest first. */
export async function listPayouts(db: EntityManager, page: PayoutPage): Promise<Payout[]> {
  return db.query(
    `${PAYOUT} where ($1::bigint is null or p.id < $1) and ($3::text is null or p.state = $3)
       and ($4::bigint is null or p.affiliate_id = $4) order by p.id desc limit $2`,
    [page.beforeId ?? null, page.limit, page.state ?? null, page.affiliateId ?? null],
  );
}

export interface DueRow {
  affiliateId: string;
  affiliateCode: string;
  affiliateName: string | null;
  /** Nobody knows any more whom to pay. */
  isErased: boolean;
  currency: string;
  /** Below zero where refunds of what was paid out outweigh what has become due since. */
  amountMinor: number;
}

/** With what it is the sum of. */
interface DueSum extends DueRow {
  commissionIds: string[];
  clawbackIds: string[];
}

interface DueWhen {
  currency: string | null;
  now: Date;
}

/** What has become due and is in no payout, by affiliate. Served by commission_unpaid and clawback_unpaid. */
export async function dueBalances(db: EntityManager, when: DueWhen): Promise<DueRow[]> {
  return due(db, when, '');
}

/** An affiliate's balance of one currency: the place in a list of those that are due, newest affiliate first. */
export interface DuePlace {
  affiliateId: string;
  currency: string;
}

/** As `dueBalances`, behind a place. */
export async function pageOfDue(
  db: EntityManager,
  { currency, now }: DueWhen,
  { behind, limit }: { behind: DuePlace | null; limit: number },
): Promise<DueRow[]> {
  return db.query(
    `select * from (${dueSql('')}) d
      where $3::bigint is null or (d."affiliateId", d.currency) < ($3, $4)
      order by d."affiliateId" desc, d.currency desc limit $5`,
    [currency, now, behind?.affiliateId ?? null, behind?.currency ?? null, limit],
  );
}

/** As `dueBalances`, for a payout run: each sum with its parts. */
export async function dueSums(db: EntityManager, when: DueWhen): Promise<DueSum[]> {
  const parts = `, coalesce(array_agg(e.id) filter (where e.amount > 0), '{}') as "commissionIds",
        coalesce(array_agg(e.id) filter (where e.amount < 0), '{}') as "clawbackIds"`;
  return due(db, when, parts);
}

async function due<Row extends DueRow>(
  db: EntityManager,
  { currency, now }: DueWhen,
  more: string,
): Promise<Row[]> {
  return db.query(`${dueSql(more)} order by 5, 6 desc, 1`, [currency, now]);
}

/** `$1`: a currency, or all; `$2`: now. */
function dueSql(more: string): string {
  return `select e.affiliate_id as "affiliateId", a.code as "affiliateCode", a.name as "affiliateName",
        a.erased as "isErased", e.currency,
        sum(e.amount)::float8 as "amountMinor"${more}
       from (select id, affiliate_id, currency, amount_minor as amount from commission
              where payout_id is null and amount_minor > 0 and due_at <= $2 and ($1::text is null or currency = $1)
             union all
             select id, affiliate_id, currency, -amount_minor from clawback
              where payout_id is null and due_at <= $2 and ($1::text is null or currency = $1)) e
       join affiliate a on a.id = e.affiliate_id
      group by 1, 2, 3, 4, 5 having sum(e.amount) <> 0`;
}

/** Payout runs wait for each other, so that nothing is paid twice. */
export const LOCK_PAYOUTS = `select pg_advisory_xact_lock(hashtextextended('payouts', 0))`;

/** Makes one payout of exactly what `dueSums` summed. Called under the lock on payouts. */
export async function insertPayout(
  db: EntityManager,
  { affiliateId, currency, amountMinor, commissionIds, clawbackIds }: DueSum,
  now: Date,
): Promise<string> {
  const rows: { id: string }[] = await db.query(
    `insert into payout (affiliate_id, amount_minor, currency, state, created_at) values ($1, $2, $3, 'open', $4) returning id`,
    [affiliateId, amountMinor, currency, now],
  );
  const id = rows[0]?.id ?? '';
  await db.query('update commission set payout_id = $1 where id = any ($2)', [id, commissionIds]);
  await db.query('update clawback set payout_id = $1 where id = any ($2)', [id, clawbackIds]);
  return id;
}

/** Under the lock on payouts: one that nobody has paid is none any more, and what was in it is due again. False for any other. */
export async function cancelPayout(db: EntityManager, id: string, now: Date): Promise<boolean> {
  const [cancelled]: [unknown[], number] = await db.query(
    `update payout set state = 'cancelled', cancelled_at = $2 where id = $1 and state = 'open' returning id`,
    [id, now],
  );
  if (cancelled.length === 0) return false;
  await db.query('update commission set payout_id = null where payout_id = $1', [id]);
  await db.query('update clawback set payout_id = null where payout_id = $1', [id]);
  return true;
}

/** What a payout takes off for refunds, oldest first. Served by clawback_payout. */
export async function clawbacksIn(
  db: EntityManager,
  payoutId: string,
): Promise<{ commissionId: string; amountMinor: number; currency: string; createdAt: Date }[]> {
  return db.query(
    `select commission_id as "commissionId", amount_minor::float8 as "amountMinor", currency, created_at as "createdAt"
       from clawback where payout_id = $1 order by id`,
    [payoutId],
  );
}
