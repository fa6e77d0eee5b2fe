import type { EntityManager } from 'typeorm';
import type { Affiliate, AffiliateFigures, Balance } from './affiliate.js';

const COLUMNS = `a.id, a.code, a.name, a.email, a.recruiter_id as "recruiterId", a.state, a.created_at as "createdAt",
  a.erased as "isErased", a.forget_when_paid as "isForgottenWhenPaid"`;

export async function findAffiliate(db: EntityManager, id: string): Promise<Affiliate | null> {
  const rows: Affiliate[] = await db.query(`select ${COLUMNS} from affiliate a where a.id = $1`, [id]);
  return rows[0] ?? null;
}

export async function findByCode(db: EntityManager, code: string): Promise<Affiliate | null> {
  const rows: Affiliate[] = await db.query(`select ${COLUMNS} from affiliate a where a.code = $1`, [code]);
  return rows[0] ?? null;
}

/** Newest first. */
export async function listAffiliates(
  db: EntityManager,
  { beforeId, limit }: { beforeId: string | undefined; limit: number },
): Promise<Affiliate[]> {
  return db.query(
    `select ${COLUMNS} from affiliate a where ($1::bigint is null or a.id < $1) order by a.id desc limit $2`,
    [beforeId ?? null, limit],
  );
}

/** Served by affiliate_recruiter. */
export async function listRecruited(db: EntityManager, id: string): Promise<Affiliate[]> {
  return db.query(`select ${COLUMNS} from affiliate a where a.recruiter_id = $1 order by a.id limit 200`, [
    id,
  ]);
}

/**
 * What these affiliates have brought, by id. For pages and the API; reads by the primary key of clicks, by
 * referral_affiliate and by commission_affiliate.
 */
export async function figuresOf(
  db: EntityManager,
  ids: readonly string[],
  now: Date,
): Promise<Map<string, AffiliateFigures>> {
  const counts: { id: string; clicks: number; signUps: number; sales: number }[] = await db.query(
    `select a.id,
        (select coalesce(sum(k.clicks), 0)::int from affiliate_click k where k.affiliate_id = a.id) as clicks,
        (select count(*)::int from referral r where r.affiliate_id = a.id and r.source = 'form') as "signUps",
        (select count(distinct c.order_id)::int from commission c
          where c.affiliate_id = a.id and c.tier = 1 and c.refusal is null) as sales
       from affiliate a where a.id = any ($1)`,
    [ids],
  );
  const balances = await balancesOf(db, ids, now);
  return new Map(
    counts.map(({ id, ...figures }) => [
      id,
      { ...figures, balances: balances.filter((one) => one.affiliateId === id).map(withoutAffiliate) },
    ]),
  );
}

interface AffiliateBalance extends Balance {
  affiliateId: string;
}

async function balancesOf(db: EntityManager, ids: readonly string[], now: Date): Promise<AffiliateBalance[]> {
  return db.query(
    `select e.affiliate_id as "affiliateId", e.currency,
        coalesce(sum(e.amount) filter (where e.payout_id is null and e.due_at > $2), 0)::float8 as "pendingMinor",
        coalesce(sum(e.amount) filter (where e.payout_id is null and e.due_at <= $2), 0)::float8 as "dueMinor",
        coalesce(sum(e.amount) filter (where y.state = 'open'), 0)::float8 as "inPayoutMinor",
        coalesce(sum(e.amount) filter (where y.state = 'paid'), 0)::float8 as "paidOutMinor",
        coalesce(-sum(e.amount) filter (where e.amount < 0), 0)::float8 as "takenBackMinor"
       from (select affiliate_id, currency, amount_minor as amount, due_at, payout_id from commission
              where affiliate_id = any ($1) and amount_minor > 0
             union all
             select affiliate_id, currency, -amount_minor, due_at, payout_id from clawback where affiliate_id = any ($1)) e
       left join payout y on y.id = e.payout_id
      group by 1, 2 order by 1, 2`,
    [ids, now],
  );
}

function withoutAffiliate({ affiliateId: _of, ...balance }: AffiliateBalance): Balance {
  return balance;
}

/** Who recruited whom, of everybody: a few hundred partners at most. Called under the lock on the tree. */
export async function recruiters(db: EntityManager): Promise<Map<string, string>> {
  const rows: { id: string; recruiterId: string }[] = await db.query(
    `select id, recruiter_id as "recruiterId" from affiliate where recruiter_id is not null`,
  );
  return new Map(rows.map(({ id, recruiterId }) => [id, recruiterId]));
}
