import type { EntityManager } from 'typeorm';
import { arrayLiteral } from '../infra/database/array-literal.js';
import { promisesSql } from '../sequences/offers/promises.queries.js';
import type { Promised } from '../sequences/steps/progress.js';
import { applyDiscountBps } from '../values/money.js';
import type { BroadcastOffer, EndTold, FrozenOffer, SoldOffer } from './broadcast-offer.js';
import { offersOf } from './offers-of-words.js';
import { wordsOf } from './split.js';

type Draft = Parameters<typeof wordsOf>[0];

/** By key, what is sold now; what is off the site is left out. Served by the unique key of `slug`. */
async function soldNow(
  manager: EntityManager,
  offers: readonly BroadcastOffer[],
): Promise<Map<string, SoldOffer>> {
  if (offers.length === 0) return new Map();
  const rows: (Pick<SoldOffer, 'slug' | 'title' | 'discountBps' | 'productId' | 'isPersonal'> & {
    amountMinor: number;
    currency: string;
  })[] = await manager.query(
    `select o.slug, o.discount_bps as "discountBps", o.personal_deadline as "isPersonal", p.id as "productId",
       p.name as title, p.amount_minor::float8 as "amountMinor", p.currency
     from offer o join product p on p.id = o.product_id where o.archived_at is null and o.slug = any($1::text[])`,
    [[...new Set(offers.map(({ key }) => key))]],
  );
  return new Map(
    rows.map(({ amountMinor, currency, ...row }) => {
      const price = { amountMinor: applyDiscountBps(amountMinor, row.discountBps), currency };
      return [row.slug, { ...row, price, fullPrice: { amountMinor, currency } }];
    }),
  );
}

/** Null for what is off the site by now. */
export async function stillSold(
  manager: EntityManager,
  offer: BroadcastOffer | null,
): Promise<BroadcastOffer | null> {
  if (offer === null) return null;
  return (await soldNow(manager, [offer])).has(offer.key) ? offer : null;
}

/** Throws `BROADCAST_OFFER_INVALID` for what cannot be offered, or not in this test; the offers as they are sold now. */
export async function checkOffers(manager: EntityManager, draft: Draft): Promise<FrozenOffer[]> {
  const named = wordsOf(draft).flatMap(({ offer }) => offer ?? []);
  const sold = await soldNow(manager, named);
  return offersOf(draft, sold);
}

/** When the broadcast begins: what its mails promise, for the checkout to keep. */
export async function writeOffers(
  manager: EntityManager,
  broadcastId: string,
  { offers, now }: { offers: readonly FrozenOffer[]; now: Date },
): Promise<void> {
  for (const { place, productId, until, snapshot } of offers)
    await manager.query(
      `insert into broadcast_offer (broadcast_id, place, offer_slug, product_id, amount_minor, currency, expires_at, told_until, content, created_at)
       values ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9) on conflict do nothing`,
      [
        ...[
          broadcastId,
          place,
          snapshot.slug,
          productId,
          snapshot.price.amountMinor,
          snapshot.price.currency,
          until,
        ],
        ...[JSON.stringify({ until, snapshot }), now],
      ],
    );
}

/**
 * What mails tell that are about to be written, in their transaction: who asks what a reader was promised looks at those
 * broadcasts alone that tell an end. Their own end stands there from the beginning.
 */
export async function noteEnds(
  manager: EntityManager,
  broadcastId: string,
  ends: readonly EndTold[],
): Promise<void> {
  for (const { place, until } of ends)
    await manager.query(
      `update broadcast_offer set told_until = $3
       where broadcast_id = $1 and place = $2 and (told_until < $3) is not false`,
      [broadcastId, place, until],
    );
}

/** By slug, as `promisedBefore`, of all that the arms offer. */
export async function promisedAbout(
  manager: EntityManager,
  offers: readonly FrozenOffer[],
  readers: { subscriberIds: readonly string[]; now: Date },
): Promise<Map<string, Map<string, Promised>>> {
  const promised = new Map<string, Map<string, Promised>>();
  for (const slug of new Set(offers.map(({ snapshot }) => snapshot.slug)))
    promised.set(slug, await promisedBefore(manager, slug, readers));
  return promised;
}

/** Of those readers to whom earlier mails have promised something about the offer, what. Few are, as a rule. */
async function promisedBefore(
  manager: EntityManager,
  slug: string,
  { subscriberIds, now }: { subscriberIds: readonly string[]; now: Date },
): Promise<Map<string, Promised>> {
  if (subscriberIds.length === 0) return new Map();
  const promises = promisesSql({ subscriberId: 'u.id', slug: '$2::text', now: '$3' }, { withEnded: false });
  const rows: (Promised & { id: string })[] = await manager.query(
    `select u.id::text as id, promised.* from unnest($1::bigint[]) as u (id) cross join lateral (${promises}) promised`,
    [arrayLiteral(subscriberIds), slug, now],
  );
  return new Map(rows.map(({ id, until, price }) => [id, { until, price }]));
}
