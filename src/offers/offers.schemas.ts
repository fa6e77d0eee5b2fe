import { z } from 'zod';
import type { Offer, Product } from './offer.js';
import { pageOf } from '../infra/http/page.js';
import { money } from '../infra/http/money.schemas.js';

export const slugParam = z.string().regex(/^[a-z0-9-]{1,60}$/, 'use the key as the funnel file writes it');

export const productResponse = z.object({
  id: z.string(),
  key: z.string(),
  funnelKey: z.string(),
  name: z.string(),
  description: z.string(),
  price: money,
  fileIds: z.array(z.string()),
  licence: z.boolean(),
  membership: z.string().nullable().meta({
    description: 'How long it makes its buyer a member: `12 months`, `for good`; null: it does not.',
  }),
});

export const offerResponse = z.object({
  id: z.string(),
  slug: z.string(),
  funnelKey: z.string(),
  title: z.string(),
  headline: z.string().nullable(),
  description: z.string().nullable(),
  bullets: z.array(z.string()),
  productKey: z.string(),
  bumpProductKey: z.string().nullable(),
  upsell: z.string().nullable().meta({ description: 'Slug of the offer shown after this one is bought.' }),
  downsell: z
    .string()
    .nullable()
    .meta({ description: 'Slug of the offer shown when the upsell is declined.' }),
  fullPrice: money,
  discountBps: z.number().int(),
  personalDeadline: z.boolean(),
});

export const productList = pageOf(productResponse);
export const offerList = pageOf(offerResponse);

export function productJson(product: Product): z.infer<typeof productResponse> {
  return product;
}

export function offerJson(offer: Offer): z.infer<typeof offerResponse> {
  const { id, slug, funnelKey, content, product, bump, discountBps, personalDeadline, upsell, downsell } =
    offer;
  return {
    id,
    slug,
    funnelKey,
    title: content.title,
    headline: content.headline ?? null,
    description: content.description ?? null,
    bullets: content.bullets ?? [],
    productKey: product.key,
    bumpProductKey: bump?.key ?? null,
    upsell,
    downsell,
    fullPrice: product.price,
    discountBps,
    personalDeadline,
  };
}
