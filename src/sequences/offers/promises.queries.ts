/**
 * What mails of any sequence or broadcast have promised somebody about an offer, as `Promised`; no row where none has. The
 * latest end counts. Of prices only those that hold until a time, for what the offer sells now and in its currency; the
 * lowest. Of a broadcast it is what the mail told this reader, who may have been promised more before: its row tells what it
 * offers to everybody. `subscriberId`, `slug` and `now` are SQL.
 *
 * An end that is past, or none, counts where the discount is for those alone who were promised it; of broadcasts that of
 * the last one is found. `withEnded` false leaves those out: who plans a broadcast asks for each reader, and must not pay for each
 * broadcast there has been. Served by enrollment_offer_subscriber, broadcast_offer_told and the key of `message`: behind
 * `offset 0`, as PostgreSQL could else read the ledger for each broadcast that has offered it.
 */
export function promisesSql(
  { subscriberId, slug, now }: Record<'subscriberId' | 'slug' | 'now', string>,
  { withEnded = true }: { withEnded?: boolean } = {},
): string {
  const holding = `filter (where g.expires_at > ${now}::timestamptz and g.product_id = p.id and g.currency = p.currency)`;
  const lowest = `min(g.amount_minor) ${holding}`;
  const told = (broadcasts: string): string => `
      select b.offer_slug, b.product_id, coalesce(sent.amount_minor, b.amount_minor) as amount_minor, b.currency,
        coalesce(sent.expires_at, b.expires_at) as expires_at from (${broadcasts}) b
      cross join lateral (
        select (m.data #>> '{offer,price,amountMinor}')::bigint as amount_minor,
          (m.data #>> '{offer,expiresAt}')::timestamptz as expires_at from message m
        where m.dedupe_key = 'b:' || b.broadcast_id || ':' || (${subscriberId})::bigint::text
          and m.data ->> 'offerPlace' = b.place::text and m.state in ('leased', 'accepted', 'unknown') offset 0) sent`;
  const holdingTold = told(
    `select * from broadcast_offer where offer_slug = ${slug} and told_until > ${now}::timestamptz`,
  );
  // Looked through from the latest on, and no further than to one that this reader got.
  const endedTold =
    told(`select t.* from broadcast_offer t join offer p on p.slug = t.offer_slug and p.personal_deadline
        where t.offer_slug = ${slug} and (t.told_until > ${now}::timestamptz) is not true
        order by t.told_until desc nulls last offset 0`);
  return `select case when o.personal_deadline or max(g.expires_at) > ${now}::timestamptz then max(g.expires_at) end as until,
      case when ${lowest} is not null then jsonb_build_object('amountMinor', ${lowest}, 'currency', p.currency) end as price,
      (array_agg(g.expires_at order by g.amount_minor, g.expires_at desc) ${holding})[1] as "priceUntil"
    from (
      select offer_slug, product_id, amount_minor, currency, expires_at from enrollment_offer
      where subscriber_id = ${subscriberId} and offer_slug = ${slug}
      union all ${holdingTold}
      ${withEnded ? `union all (${endedTold} limit 1)` : ''}) g
    join offer o on o.slug = g.offer_slug join product p on p.id = o.product_id group by p.currency, o.personal_deadline`;
}
