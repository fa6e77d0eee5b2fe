import type { EntityManager } from 'typeorm';
import type { ChangeCause, ChangeKind, Membership, MembershipState } from './membership.js';

export interface MembershipRow extends Membership {
  id: string;
  subscriberId: string;
  email: string;
  name: string | null;
  productId: string;
  productKey: string;
  productName: string;
  createdAt: Date;
  updatedAt: Date;
}

/** `startsAt` and `endsAt` are those after it. */
export interface ChangeRow {
  id: string;
  kind: ChangeKind;
  cause: ChangeCause;
  term: string | null;
  orderId: string | null;
  reason: string | null;
  startsAt: Date;
  endsAt: Date | null;
  at: Date;
}

const MEMBERSHIP = `select m.id, m.subscriber_id as "subscriberId", s.email, s.name, m.product_id as "productId", p.key as "productKey",
    p.name as "productName", m.state, m.starts_at as "startsAt", m.ends_at as "endsAt", m.created_at as "createdAt", m.updated_at as "updatedAt"
  from membership m join product p on p.id = m.product_id join subscriber s on s.id = m.subscriber_id`;

export async function findMembership(db: EntityManager, id: string): Promise<MembershipRow | null> {
  const rows: MembershipRow[] = await db.query(`${MEMBERSHIP} where m.id = $1`, [id]);
  return rows[0] ?? null;
}

/** Locked until the caller's transaction ends. Served by the unique key of the person and the product. */
export async function lockMembership(
  db: EntityManager,
  { subscriberId, productId }: { subscriberId: string; productId: string },
): Promise<MembershipRow | null> {
  const rows: MembershipRow[] = await db.query(
    `${MEMBERSHIP} where m.subscriber_id = $1 and m.product_id = $2 for update of m`,
    [subscriberId, productId],
  );
  return rows[0] ?? null;
}

export interface MembershipFilter {
  subscriberId?: string | undefined;
  /** Anywhere in the address, whatever its case. Looked for in every membership: no index serves it. */
  addressPart?: string | undefined;
  product?: string | undefined;
  state?: MembershipState | undefined;
}

/** For the API and the owner's pages. Newest first. One whose end has passed counts as ended, whether or not the clock's job has been there. */
export async function listMemberships(
  db: EntityManager,
  { subscriberId, addressPart, product, state }: MembershipFilter,
  { beforeId, limit, now }: { beforeId?: string | undefined; limit: number; now: Date },
): Promise<MembershipRow[]> {
  return db.query(
    `${MEMBERSHIP} where ($1::bigint is null or m.id < $1) and ($2::bigint is null or m.subscriber_id = $2)
       and ($3::text is null or m.product_id = any (array(select id from product where key = $3)))
       and ($4::text is null or $4 = case when m.state = 'active' and m.ends_at <= $6 then 'ended' else m.state end)
       and ($7::text is null or strpos(lower(s.email), lower($7)) > 0)
     order by m.id desc limit $5`,
    [beforeId ?? null, subscriberId ?? null, product ?? null, state ?? null, limit, now, addressPart ?? null],
  );
}

/** Oldest first. Served by membership_change_of. */
export async function changesOf(db: EntityManager, membershipId: string): Promise<ChangeRow[]> {
  return db.query(
    `select id, kind, cause, term, order_id as "orderId", reason, starts_at as "startsAt", ends_at as "endsAt", at
       from membership_change where membership_id = $1 order by id`,
    [membershipId],
  );
}

/** Makes the row, or brings it to this. The caller holds the row's lock where there is one. */
export async function saveMembership(
  db: EntityManager,
  { subscriberId, productId }: { subscriberId: string; productId: string },
  { state, startsAt, endsAt }: Membership,
  now: Date,
): Promise<string> {
  const rows: { id: string }[] = await db.query(
    `insert into membership (subscriber_id, product_id, state, starts_at, ends_at, created_at, updated_at)
     values ($1, $2, $3, $4, $5, $6, $6)
     on conflict (subscriber_id, product_id) do update set state = excluded.state, starts_at = excluded.starts_at,
       ends_at = excluded.ends_at, updated_at = excluded.updated_at
     returning id`,
    [subscriberId, productId, state, startsAt, endsAt, now],
  );
  return rows[0]?.id ?? '';
}

export type NewChange = Pick<ChangeRow, 'kind' | 'cause'> &
  Partial<Pick<ChangeRow, 'term' | 'orderId' | 'reason'>>;

export async function addChange(
  db: EntityManager,
  membershipId: string,
  { kind, cause, term = null, orderId = null, reason = null }: NewChange,
  { startsAt, endsAt, at }: Pick<ChangeRow, 'startsAt' | 'endsAt' | 'at'>,
): Promise<void> {
  await db.query(
    `insert into membership_change (membership_id, kind, cause, term, order_id, reason, starts_at, ends_at, at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [membershipId, kind, cause, term, orderId, reason, startsAt, endsAt, at],
  );
}

/** Which memberships by these products the order has begun or prolonged, and has not been taken back from. */
export async function membershipsOfOrder(
  db: EntityManager,
  orderId: string,
  productIds: readonly string[],
): Promise<MembershipRow[]> {
  return db.query(
    `${MEMBERSHIP} where exists (select 1 from membership_change c
         where c.membership_id = m.id and c.order_id = $1 and c.kind in ('began', 'prolonged'))
       and not exists (select 1 from membership_change c
         where c.membership_id = m.id and c.order_id = $1 and c.kind in ('shortened', 'refunded'))
       and m.product_id = any ($2)
     order by m.id for update of m`,
    [orderId, productIds],
  );
}

/**
 * Ends those of one product whose time has come, at most `most`, with a line in their history. Two workers take disjoint
 * ones. Called by memberships.end-due; served by membership_due. Locks the people too, as the sequences that begin with the
 * end will: an erasure has the person first and the memberships after, and the two would wait for each other. Who is just
 * being erased is left out, and is looked at by the next run if they are still there.
 */
export async function endDue(
  db: EntityManager,
  now: Date,
  most: number,
): Promise<{ productKey: string; subscriberIds: string[] } | null> {
  const rows: { productKey: string; subscriberId: string }[] = await db.query(
    `with due as (
       select m.id from membership m join subscriber s on s.id = m.subscriber_id where m.state = 'active' and m.ends_at <= $1
         and m.product_id = (select product_id from membership where state = 'active' and ends_at <= $1 order by ends_at limit 1)
       order by m.ends_at, m.id limit $2 for key share of s skip locked for update of m skip locked),
     ended as (
       update membership m set state = 'ended', updated_at = $1 from due where m.id = due.id
       returning m.id, m.subscriber_id, m.product_id, m.starts_at, m.ends_at),
     told as (
       insert into membership_change (membership_id, kind, cause, starts_at, ends_at, at)
       select id, 'ended', 'time', starts_at, ends_at, $1 from ended)
     select p.key as "productKey", e.subscriber_id as "subscriberId" from ended e join product p on p.id = e.product_id
     order by e.subscriber_id`,
    [now, most],
  );
  const [first] = rows;
  if (first === undefined) return null;
  return { productKey: first.productKey, subscriberIds: rows.map(({ subscriberId }) => subscriberId) };
}
