import type { EntityManager } from 'typeorm';
import { notFound } from '../values/not-found.js';
import type { Order } from './order.js';
import { ERASED } from '../subscribers/erased.js';

const ISO = `'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'`;

const LINES = `(select jsonb_agg(jsonb_build_object(
      'id', l.id::text, 'productId', p.id::text, 'productKey', p.key, 'name', p.name, 'kind', l.kind,
      'fullAmount', jsonb_build_object('amountMinor', l.full_amount_minor, 'currency', o.currency),
      'amount', jsonb_build_object('amountMinor', l.amount_minor, 'currency', o.currency),
      'refunded', jsonb_build_object('amountMinor', (select coalesce(sum(b.amount_minor), 0)::bigint from refund_line b where b.order_line_id = l.id), 'currency', o.currency),
      'takenBackAt', to_char(l.taken_back_at at time zone 'UTC', ${ISO}), 'fileIds', p.file_ids, 'licensed', p.licence, 'membership', l.membership, 'licenceKey', k.key,
      'licenceRevokedAt', to_char(k.revoked_at at time zone 'UTC', ${ISO})) order by l.id)
    from order_line l join product p on p.id = l.product_id left join licence k on k.order_line_id = l.id
   where l.order_id = o.id)`;

const REFUNDS = `(select jsonb_agg(jsonb_build_object('id', r.id::text, 'reason', r.reason, 'at', to_char(r.at at time zone 'UTC', ${ISO}),
      'amount', jsonb_build_object('amountMinor', r.amount_minor, 'currency', r.currency),
      'lines', coalesce((select jsonb_agg(jsonb_build_object('lineId', b.order_line_id::text,
          'amount', jsonb_build_object('amountMinor', b.amount_minor, 'currency', r.currency)) order by b.order_line_id)
        from refund_line b where b.refund_id = r.id), '[]')) order by r.id)
    from refund r where r.order_id = o.id)`;

const ORDER = `select o.id, o.number, o.funnel_key as "funnelKey", o.offer_id as "offerId", o.parent_order_id as "parentOrderId", f.slug as "offerSlug",
    o.message_id as "messageId", o.subscriber_id as "subscriberId", o.visitor_id as "visitorId", o.email, o.name, o.status,
    jsonb_build_object('amountMinor', o.amount_minor, 'currency', o.currency) as total,
    jsonb_build_object('amountMinor', o.refunded_minor, 'currency', o.currency) as refunded, o.provider,
    o.created_at as "createdAt", o.paid_at as "paidAt", o.refunded_at as "refundedAt",
    o.refund_reason as "refundReason", coalesce(${LINES}, '[]') as lines,
    coalesce(${REFUNDS}, '[]') as refunds
  from orders o join offer f on f.id = o.offer_id`;

export async function findOrder(db: EntityManager, id: string): Promise<Order | null> {
  const rows: Order[] = await db.query(`${ORDER} where o.id = $1`, [id]);
  return rows[0] ?? null;
}

/** As `findOrder`, holding the order against every other payment of it until the transaction ends. */
async function lockOrder(db: EntityManager, id: string): Promise<Order | null> {
  // Locked first and read after, so that what is read is what the transaction before us has left.
  await db.query(`select 1 from orders where id = $1 for update`, [id]);
  return findOrder(db, id);
}

/** Throws `ORDER_NOT_FOUND`. */
export async function getOrder(db: EntityManager, id: string): Promise<Order> {
  return there(await findOrder(db, id), id);
}

/** As `lockOrder`. Throws `ORDER_NOT_FOUND`. */
export async function getLocked(db: EntityManager, id: string): Promise<Order> {
  return there(await lockOrder(db, id), id);
}

function there(order: Order | null, orderId: string): Order {
  if (order) return order;
  throw notFound('order', orderId);
}

export interface OrderPage {
  beforeId?: string | undefined;
  limit: number;
  /** Anywhere in the number or the address, whatever its case. Looked for in every order: no index serves it. */
  part?: string | undefined;
  subscriberId?: string | undefined;
}

/** For the API and the owner's pages. Newest first. Served by the primary key, and for one person by `orders_subscriber`. */
export async function listOrders(
  db: EntityManager,
  { beforeId, limit, part, subscriberId }: OrderPage,
): Promise<Order[]> {
  // A range: of an equal subscriber PostgreSQL may walk the primary key, past the orders of all others.
  const [walk, order] =
    subscriberId === undefined
      ? ['o.id < $1 and $4::bigint is null', 'o.id desc']
      : [
          'o.subscriber_id >= $4 and (o.subscriber_id, o.id) < ($4::bigint, $1::bigint)',
          'o.subscriber_id desc, o.id desc',
        ];
  return db.query(
    `${ORDER} where ${walk}
       and ($3::text is null or strpos(lower(o.number), lower($3)) > 0 or strpos(lower(o.email), lower($3)) > 0)
     order by ${order} limit $2`,
    [beforeId ?? '9223372036854775807', limit, part ?? null, subscriberId ?? null],
  );
}

export interface Licence {
  key: string;
  productKey: string;
  orderId: string;
  issuedAt: Date;
  revokedAt: Date | null;
}

/** By its key as it was issued. */
export async function findLicence(db: EntityManager, key: string): Promise<Licence | null> {
  const rows: Licence[] = await db.query(
    `select k.key, p.key as "productKey", l.order_id as "orderId", k.created_at as "issuedAt", k.revoked_at as "revokedAt"
      from licence k join order_line l on l.id = k.order_line_id join product p on p.id = l.product_id where k.key = $1`,
    [key],
  );
  return rows[0] ?? null;
}

/** The products among these that the person has paid for and kept. Served by orders_subscriber. */
export async function productsKept(
  db: EntityManager,
  subscriberId: string,
  productIds: readonly string[],
): Promise<Set<string>> {
  const rows: { id: string }[] = await db.query(
    `select distinct l.product_id as id from orders o join order_line l on l.order_id = o.id
      where o.subscriber_id = $1 and o.status = 'paid' and l.taken_back_at is null and l.product_id = any($2::bigint[])`,
    [subscriberId, productIds],
  );
  return new Set(rows.map(({ id }) => id));
}

export interface NewOrder {
  funnelKey: string;
  offerId: string;
  parentOrderId?: string | undefined;
  subscriberId: string | null;
  messageId: string | null;
  visitorId: Buffer | null;
  email: string;
  name: string | null;
  amountMinor: number;
  currency: string;
  lines: { productId: string; kind: 'main' | 'bump'; fullAmountMinor: number; amountMinor: number }[];
}

/**
 * A checkout that the same browser left open with the same content, since `since`: a double click or a second tab.
 * Bound to the browser (`visitor_id`), so that nobody gets another person's open order by typing their address.
 */
export async function findOpenOrder(db: EntityManager, order: NewOrder, since: Date): Promise<string | null> {
  if (order.visitorId === null) return null;
  const rows: { id: string }[] = await db.query(
    `select id from orders o
      where funnel_key = $1 and status = 'pending' and offer_id = $2 and visitor_id = $3 and lower(email) = lower($4)
        and parent_order_id is null and amount_minor = $5 and currency = $6 and created_at > $7
        and $8::bigint[] = (select array_agg(product_id order by product_id) from order_line where order_id = o.id)
      order by id desc limit 1`,
    [
      order.funnelKey,
      order.offerId,
      order.visitorId,
      order.email,
      order.amountMinor,
      order.currency,
      since,
      order.lines
        .map(({ productId }) => productId)
        .toSorted((one, other) => Number(BigInt(one) - BigInt(other))),
    ],
  );
  return rows[0]?.id ?? null;
}

/** The order again, with the name that was typed last; null for one that was paid, declined or forgotten since. */
export async function renameOpen(db: EntityManager, id: string, name: string | null): Promise<string | null> {
  const rows: { id: string }[] = await db.query(
    `with named as (update orders set name = $2 where id = $1 and status = 'pending' returning id) select id from named`,
    [id, name],
  );
  return rows[0]?.id ?? null;
}

/** The reader of the mail that led to an order, kept from being erased until the transaction ends; null if they are gone by now. */
export async function holdReader(db: EntityManager, subscriberId: string): Promise<string | null> {
  const rows: { id: string }[] = await db.query('select id from subscriber where id = $1 for key share', [
    subscriberId,
  ]);
  return rows[0]?.id ?? null;
}

/** The id comes first because the number people quote is made of it, and is not null. */
export async function nextOrderId(db: EntityManager): Promise<string> {
  const rows: { id: string }[] = await db.query(
    `select nextval(pg_get_serial_sequence('orders', 'id')) as id`,
  );
  return rows[0]?.id ?? '';
}

export async function insertOrder(
  db: EntityManager,
  order: NewOrder,
  { id, number, now }: { id: string; number: string; now: Date },
): Promise<void> {
  await db.query(
    `insert into orders (id, number, funnel_key, offer_id, subscriber_id, message_id, visitor_id, email, name, status,
       amount_minor, currency, provider, created_at, parent_order_id)
     overriding system value values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending', $10, $11, 'none', $12, $13)`,
    [
      id,
      number,
      order.funnelKey,
      order.offerId,
      order.subscriberId,
      order.messageId,
      order.visitorId,
      order.email,
      order.name,
      order.amountMinor,
      order.currency,
      now,
      order.parentOrderId ?? null,
    ],
  );
  for (const line of order.lines) {
    await db.query(
      `insert into order_line (order_id, product_id, kind, full_amount_minor, amount_minor, membership)
       select $1, id, $3, $4, $5, membership from product where id = $2`,
      [id, line.productId, line.kind, line.fullAmountMinor, line.amountMinor],
    );
  }
}

/** Of a person, locked in the order of their ids. By the address it reads the table, as `forgetBuyer` does. */
export async function holdOrders(
  db: EntityManager,
  { subscriberId, email }: { subscriberId: string; email: string },
): Promise<void> {
  await db.query(
    'select 1 from orders where subscriber_id = $1 or lower(email) = lower($2) order by id for update',
    [subscriberId, email],
  );
}

/**
 * Called by the erasure of a person. An order that nobody has paid is its buyer's, whoever got the mail that led to it: of
 * somebody else's, who had a mail passed on, only what points at the person goes. Number, amounts, dates and the name on the invoice stay, as tax law asks; the
 * address, what leads to the person and what the owner wrote about them go. An order nobody has paid needs no name, and waits no longer.
 * Returns the orders that were theirs.
 */
export async function forgetBuyer(
  db: EntityManager,
  { subscriberId, email }: { subscriberId: string; email: string },
): Promise<string[]> {
  await db.query(
    `update refund set reason = null where order_id in (select id from orders
       where (subscriber_id = $1 and status in ('paid', 'refunded')) or lower(email) = lower($2))`,
    [subscriberId, email],
  );
  const [theirs]: [{ id: string }[], number] = await db.query(
    `update orders set email = $3, subscriber_id = null, visitor_id = null, refund_reason = null,
       name = case when status in ('paid', 'refunded') then name end,
       status = case when status = 'pending' then 'declined' else status end
     where (subscriber_id = $1 and status in ('paid', 'refunded')) or lower(email) = lower($2) returning id`,
    [subscriberId, email, ERASED],
  );
  await db.query('update orders set subscriber_id = null, message_id = null where subscriber_id = $1', [
    subscriberId,
  ]);
  return theirs.map(({ id }) => id);
}

/**
 * Called when a person does not want to be counted any more. An order that is open since `since` keeps the mark, by which their
 * browser finds it again; it loses it when it is paid, or a day later. Served by orders_subscriber.
 */
export async function forgetMarks(db: EntityManager, subscriberId: string, since: Date): Promise<void> {
  await db.query(
    `update orders set visitor_id = null where subscriber_id = $1 and visitor_id is not null
       and (status <> 'pending' or created_at < $2)`,
    [subscriberId, since],
  );
}

/**
 * Called each hour: of orders that were made before `before` and never paid, by people who are not counted, whether they
 * came from a mail or are known by their address alone. Reads the table of orders; the scalar look-ups behind it are by key.
 */
export async function forgetOldMarks(db: EntityManager, before: Date): Promise<void> {
  await db.query(
    `update orders o set visitor_id = null
     where o.visitor_id is not null and o.status in ('pending', 'declined') and o.created_at < $1
       and (not (select s.tracking_consent from subscriber s where s.id = o.subscriber_id)
         or not (select s.tracking_consent from subscriber s where s.email_key = lower(o.email)))`,
    [before],
  );
}

/** Called once an order is paid; `people`: its buyer, and who got the mail that led to it. By primary keys. */
export async function forgetMarkOfUncounted(
  db: EntityManager,
  orderId: string,
  people: readonly (string | null)[],
): Promise<void> {
  await db.query(
    `update orders set visitor_id = null where id = $1 and visitor_id is not null
       and exists (select 1 from subscriber where id = any($2::bigint[]) and not tracking_consent)`,
    [orderId, people.filter((one) => one !== null)],
  );
}
