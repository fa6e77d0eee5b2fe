import type { EntityManager } from 'typeorm';
import { z } from 'zod';
import type { Attribution, OrderTouch, Touch } from './touch.js';

/** The touches that are kept with these people, and with whoever has the address. Served by the primary keys. */
export async function touchesOf(
  db: EntityManager,
  { subscriberIds, emailKey }: { subscriberIds: readonly string[]; emailKey: string | null },
): Promise<Touch[]> {
  return db.query(
    `with person as (
       select unnest ($1::bigint[]) as id union select s.id from subscriber s where s.email_key = $2)
     select r.affiliate_id as "affiliateId", r.touched_at as at from referral r join person on person.id = r.subscriber_id
     union select t.affiliate_id, t.touched_at from referral_touch t join person on person.id = t.subscriber_id`,
    [subscriberIds, emailKey],
  );
}

/** Those by links of affiliates who are active now. */
export async function activeOf(db: EntityManager, touches: readonly Touch[]): Promise<Touch[]> {
  const rows: { id: string }[] = await db.query(
    `select id from affiliate where id = any ($1::bigint[]) and state = 'active'`,
    [touches.map(({ affiliateId }) => affiliateId)],
  );
  const active = new Set(rows.map(({ id }) => id));
  return touches.filter(({ affiliateId }) => active.has(affiliateId));
}

/** With a person; where nothing proves who they are, only with one who came by nobody's link yet. */
export async function keepTouches(
  db: EntityManager,
  subscriberId: string,
  { touches, isProven }: { touches: readonly Touch[]; isProven: boolean },
): Promise<void> {
  await db.query(
    `insert into referral_touch (subscriber_id, affiliate_id, touched_at)
     select $1, a.id, given.at from unnest ($2::bigint[], $3::timestamptz[]) as given (affiliate_id, at)
       join affiliate a on a.id = given.affiliate_id
      where $4 or not exists (select 1 from referral where subscriber_id = $1)
     on conflict do nothing`,
    [subscriberId, touches.map(({ affiliateId }) => affiliateId), touches.map(({ at }) => at), isProven],
  );
}

/**
 * What earns by an order as it stands when it is placed, and every click of its browser. Sent once more, the better of the
 * two earns, and the clicks of both are known.
 */
export async function insertOrderTouch(
  db: EntityManager,
  orderId: string,
  placed: { touch: OrderTouch; browser: readonly Touch[]; attribution: Attribution },
): Promise<void> {
  const { touch, browser, attribution } = placed;
  await db.query(
    `insert into order_referral (order_id, affiliate_id, touched_at, via, touches)
     select $1, id, $3, $4, $6::jsonb from affiliate where id = $2
     on conflict (order_id) do update set
       (affiliate_id, touched_at, via) = (
         select b.affiliate_id, b.touched_at, b.via from (values
             (1, order_referral.affiliate_id, order_referral.touched_at, order_referral.via),
             (2, excluded.affiliate_id, excluded.touched_at, excluded.via)) as b (nth, affiliate_id, touched_at, via)
          order by case $5 when 'first' then b.touched_at end, b.touched_at desc, b.nth limit 1),
       touches = (select coalesce(jsonb_agg(distinct click), '[]')
         from jsonb_array_elements(order_referral.touches || excluded.touches) as click)`,
    [orderId, touch.affiliateId, touch.at, touch.via, attribution, textOf(browser)],
  );
}

/** What earns by an order, and the clicks of its browser, as `insertOrderTouch` left them. */
export async function orderTouchOf(
  db: EntityManager,
  orderId: string,
): Promise<{ touch: OrderTouch; browser: Touch[] } | null> {
  const rows: (OrderTouch & { touches: unknown })[] = await db.query(
    'select affiliate_id as "affiliateId", touched_at as at, via, touches from order_referral where order_id = $1',
    [orderId],
  );
  const [row] = rows;
  if (row === undefined) return null;
  const { touches, ...touch } = row;
  return { touch, browser: storedTouches(touches) };
}

/** As they are stored with what waits. */
export function textOf(touches: readonly Touch[]): string {
  return JSON.stringify(touches.map(({ affiliateId, at }) => ({ affiliateId, at })));
}

const waiting = z.array(z.object({ affiliateId: z.string(), at: z.coerce.date() }));

/** Those that waited with a sign-up for its confirmation, or with an order for its payment; none for one of before they did. */
export function storedTouches(stored: unknown): Touch[] {
  const read = waiting.safeParse(stored);
  return read.success ? read.data : [];
}
