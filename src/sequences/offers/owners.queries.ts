import type { EntityManager } from 'typeorm';

/**
 * Whether somebody owns a product: they have bought it, in whatever funnel, and the money did not go back. What makes its
 * buyers members they own while they are: after its end it may be offered again, unless they have also bought it once when
 * it made nobody a member, which is for good. The parts are SQL. Served by the keys of `membership`, `tag` and
 * `subscriber_tag`, and by `orders_subscriber` for who was a member; behind scalar subqueries, as PostgreSQL would else hash
 * everybody's tags.
 */
export function ownsSql({
  subscriberId,
  productId,
  product,
  now,
}: Record<'subscriberId' | 'productId' | 'product' | 'now', string>): string {
  return `coalesce(
    (select m.state = 'active' and (m.ends_at is null or m.ends_at > ${now}::timestamptz)
       or ${boughtForGoodSql(subscriberId, productId)} from membership m
     where m.subscriber_id = ${subscriberId} and m.product_id = ${productId}),
    (select exists (select 1 from subscriber_tag b join tag bt on bt.id = b.tag_id
     where b.subscriber_id = ${subscriberId} and bt.name = 'bought:' || ${product})))`;
}

/** They have bought it when it made nobody a member, and the money did not go back. Served by `orders_subscriber`. */
export function boughtForGoodSql(subscriberId: string, productId: string): string {
  return `(select exists (select 1 from orders k join order_line kl on kl.order_id = k.id
    where k.subscriber_id = ${subscriberId} and k.status = 'paid' and kl.product_id = ${productId}
      and kl.membership is null and kl.taken_back_at is null))`;
}

/**
 * How many who are in earlier versions of a sequence own what each of the offers sells; an offer that nobody owns is left
 * out. Called by the preview of a move. Served by `subscriber_tag_tag`, `membership_product` and the keys of `enrollment`.
 */
export async function ownersOf(
  manager: EntityManager,
  {
    sequenceId,
    versionId,
    slugs,
    now,
  }: { sequenceId: string; versionId: string; slugs: readonly string[]; now: Date },
): Promise<{ slug: string; product: string; people: number }[]> {
  const owns = ownsSql({ subscriberId: 'w.id', productId: 'p.id', product: 'p.key', now: '$4' });
  return manager.query(
    `select o.slug, p.key as product, count(distinct w.id)::int as people
     from offer o join product p on p.id = o.product_id cross join lateral (
       select b.subscriber_id as id from tag t join subscriber_tag b on b.tag_id = t.id where t.name = 'bought:' || p.key
       union select m.subscriber_id from membership m where m.product_id = p.id and m.state = 'active') w
     join enrollment e on e.subscriber_id = w.id and e.sequence_id = $1 and e.version_id <> $2 and e.status = 'active'
     where o.slug = any($3::text[]) and ${owns} group by o.slug, p.key order by o.slug`,
    [sequenceId, versionId, slugs, now],
  );
}
