import { offerTo, type FrozenOffer } from '../../broadcasts/broadcast-offer.js';
import { later } from '../../broadcasts/broadcast-batch.js';
import type { BatchPlan } from '../../sequences/advance/batch-plan.js';
import type { Promised } from '../../sequences/steps/progress.js';
import type { VirtualRun } from './virtual-run.js';

/** As `EnrollmentsQueries.grantOffers`; prices stay as they are in a simulation. */
export function grantOffers({ record }: VirtualRun, { grants }: BatchPlan, now: Date): void {
  for (const { enrollmentId, offerSlug: offer, expiresAt, price } of grants) {
    const known = record.grants.find((one) => one.enrollmentId === enrollmentId && one.offer === offer);
    const grant = { enrollmentId, offer, expiresAt, price, at: now };
    if (known === undefined) record.grants.push(grant);
    else if (expiresAt === null || expiresAt > now) Object.assign(known, grant);
  }
}

/** What a mail of a broadcast tells its reader of an offer, as `dataOf` writes it down. */
export function toldOffer(
  run: VirtualRun,
  offer: FrozenOffer | null | undefined,
  { now, dueAt }: { now: Date; dueAt: Date },
): FrozenOffer | null {
  if (offer === null || offer === undefined) return null;
  const promised = promisedTo(run, offer.snapshot.slug, now);
  return offerTo(offer, { promised, at: later(now, dueAt) });
}

/** As `promisesSql`; an offer sells the same all the time. */
export function promisedTo({ record, funnels }: VirtualRun, slug: string, now: Date): Promised | null {
  const { grants, mails } = record;
  const byBroadcasts = mails.flatMap(({ offer, state }) =>
    offer?.snapshot.slug !== slug || state !== 'sent'
      ? []
      : [{ expiresAt: offer.until === null ? null : new Date(offer.until), price: offer.snapshot.price }],
  );
  const own = [...grants.filter(({ offer }) => offer === slug), ...byBroadcasts];
  const ends = own.flatMap(({ expiresAt }) => expiresAt ?? []);
  const last = ends.toSorted((a, b) => b.getTime() - a.getTime())[0] ?? null;
  const counts = funnels.offers.get(slug)?.personalDeadline === true || (last !== null && last > now);
  const until = counts ? last : null;
  const holding = own.filter(({ expiresAt }) => expiresAt !== null && expiresAt > now);
  const price = holding.toSorted((a, b) => a.price.amountMinor - b.price.amountMinor)[0]?.price ?? null;
  return own.length === 0 ? null : { until, price };
}
