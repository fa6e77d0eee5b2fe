/**
 * What mails of any sequence have promised somebody about an offer, as `until` and `price`; no row where none has. The latest
 * end counts. Of prices only those that hold until a time, for what the offer sells now and in its currency; the lowest.
 * `subscriberId`, `slug` and `now` are SQL. Served by enrollment_offer_subscriber.
 */
export function promisesSql({
  subscriberId,
  slug,
  now,
}: Record<'subscriberId' | 'slug' | 'now', string>): string {
  const lowest = `min(g.amount_minor) filter (where g.expires_at > ${now}::timestamptz and g.product_id = p.id
    and g.currency = p.currency)`;
  return `select max(g.expires_at) as until,
      case when ${lowest} is not null then jsonb_build_object('amountMinor', ${lowest}, 'currency', p.currency) end as price
    from enrollment_offer g join offer o on o.slug = g.offer_slug join product p on p.id = o.product_id
    where g.subscriber_id = ${subscriberId} and g.offer_slug = ${slug} group by p.currency`;
}
