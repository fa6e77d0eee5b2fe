import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { EnrollmentsService } from '../sequences/enrollments/enrollments.service.js';
import { DomainError } from '../values/domain-error.js';
import type { Money } from '../values/money.js';
import type { Offer, OfferContent, OfferSender, Product } from './offer.js';
import {
  findEndedOffer,
  findOffer,
  findOfferById,
  findProduct,
  listOffers,
  recipientOf,
} from './offers.queries.js';
import { offerPrice } from './price.js';

export interface OfferDefinition {
  slug: string;
  funnelKey: string;
  productKey: string;
  content: OfferContent;
  /** 0 to 10000. */
  discountBps: number;
  bumpProductKey?: string | undefined;
  upsell?: string | undefined;
  downsell?: string | undefined;
  personalDeadline: boolean;
  sender: OfferSender;
}

/** An offer as one visitor meets it now. */
export interface OfferTerms {
  offer: Offer;
  price: Money;
  fullPrice: Money;
  /** What is taken off for this visitor: 0 when nothing is. */
  discountBps: number;
  expired: boolean;
  /** The visitor's own deadline, also when it has passed; null when there is none. */
  expiresAt: Date | null;
  subscriberId: string | null;
  messageId: string | null;
}

/** What is offered, to whom, at which price. The only writer of `offer`. */
@Injectable()
export class OffersService {
  constructor(
    private readonly dataSource: DataSource,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly enrollments: EnrollmentsService,
  ) {}

  /**
   * Makes the offer, or brings it to this definition; the id stays. Throws `OFFER_PRODUCT_INVALID`,
   * `OFFER_BUMP_INVALID` (the same product, or another currency) and `OFFER_SLUG_CONFLICT` (another funnel's). One that
   * is off the site may be taken over by another funnel: links to it lead to what is sold there now.
   */
  async publish(manager: EntityManager, definition: OfferDefinition): Promise<string> {
    const { slug, funnelKey, content, discountBps, personalDeadline, sender } = definition;
    const product = await productFor(manager, slug, definition.productKey);
    const bump =
      definition.bumpProductKey === undefined
        ? null
        : await productFor(manager, slug, definition.bumpProductKey);
    if (bump !== null) checkBump(slug, product, bump);
    const rows: { id: string }[] = await manager.query(
      `insert into offer (slug, funnel_key, product_id, content, discount_bps, bump_product_id, personal_deadline, sender, created_at, updated_at, upsell_slug, downsell_slug)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10, $11)
       on conflict (slug) do update set funnel_key = excluded.funnel_key, product_id = excluded.product_id, content = excluded.content,
         discount_bps = excluded.discount_bps, bump_product_id = excluded.bump_product_id,
         personal_deadline = excluded.personal_deadline, sender = excluded.sender,
         upsell_slug = excluded.upsell_slug, downsell_slug = excluded.downsell_slug,
         updated_at = excluded.updated_at, archived_at = null
       where offer.funnel_key = excluded.funnel_key or offer.archived_at is not null
       returning id`,
      [
        slug,
        funnelKey,
        product.id,
        JSON.stringify(content),
        discountBps,
        bump?.id ?? null,
        personalDeadline,
        JSON.stringify(sender),
        this.clock.now(),
        definition.upsell ?? null,
        definition.downsell ?? null,
      ],
    );
    const id = rows[0]?.id;
    if (id === undefined) {
      throw new DomainError(
        'OFFER_SLUG_CONFLICT',
        `key: another funnel has an offer "${slug}"; choose another key`,
        { slug },
      );
    }
    return id;
  }

  async findBySlug(slug: string): Promise<Offer | null> {
    return findOffer(this.dataSource.manager, slug);
  }

  /** An offer that was there and is off the site, for whoever comes by an old link. */
  async findEnded(slug: string): Promise<Offer | null> {
    return findEndedOffer(this.dataSource.manager, slug);
  }

  /** Archived offers included: an order outlives its offer. */
  async findById(id: string, manager: EntityManager = this.dataSource.manager): Promise<Offer | null> {
    return findOfferById(manager, id);
  }

  /** Newest first; `beforeId` is the last one the caller has seen. */
  async list(page: { beforeId?: string | undefined; limit: number }): Promise<Offer[]> {
    return listOffers(this.dataSource.manager, page);
  }

  /** Gives the offer to another funnel, with its orders and what was promised about it. */
  async moveTo(manager: EntityManager, slug: string, funnelKey: string): Promise<void> {
    await manager.query('update offer set funnel_key = $2 where slug = $1', [slug, funnelKey]);
  }

  /** Takes the funnel's offers that are not named off the site. Their orders and history stay. */
  async archiveExcept(manager: EntityManager, funnelKey: string, slugs: readonly string[]): Promise<void> {
    await manager.query(
      `update offer set archived_at = $3, updated_at = $3
        where funnel_key = $1 and archived_at is null and slug <> all($2)`,
      [funnelKey, slugs, this.clock.now()],
    );
  }

  /** Brings the funnel's offers back; returns those that are its own still. */
  async restore(manager: EntityManager, funnelKey: string, slugs: readonly string[]): Promise<string[]> {
    const [rows]: [{ slug: string }[], number] = await manager.query(
      'update offer set archived_at = null where funnel_key = $1 and slug = any($2::text[]) returning slug',
      [funnelKey, slugs],
    );
    return rows.map(({ slug }) => slug);
  }

  /**
   * The offer for a visitor who came through this mail (null: nobody we know). Null when there is no such offer.
   * The recipient of the mail counts, so a forwarded mail carries its price along.
   */
  async terms(slug: string, messageId: string | null, now: Date): Promise<OfferTerms | null> {
    const offer = await findOffer(this.dataSource.manager, slug);
    if (offer === null) return null;
    const subscriberId = messageId === null ? null : await recipientOf(this.dataSource.manager, messageId);
    const grant = subscriberId === null ? null : await this.enrollments.promised(subscriberId, slug, now);
    const { price, discountBps, expired, until } = offerPrice({
      full: offer.product.price,
      discountBps: offer.discountBps,
      personalDeadline: offer.personalDeadline,
      grant,
      now,
    });
    return {
      offer,
      price,
      fullPrice: offer.product.price,
      discountBps,
      expired,
      expiresAt: until,
      subscriberId,
      messageId: subscriberId === null ? null : messageId,
    };
  }
}

async function productFor(manager: EntityManager, slug: string, key: string): Promise<Product> {
  const product = await findProduct(manager, key);
  if (product) return product;
  throw new DomainError(
    'OFFER_PRODUCT_INVALID',
    `product: offer "${slug}" names the product "${key}", which does not exist`,
    { slug, key },
  );
}

function checkBump(slug: string, product: Product, bump: Product): void {
  const problem =
    bump.id === product.id
      ? 'must be another product than the one it is added to'
      : bump.price.currency === product.price.currency
        ? null
        : `must be priced in ${product.price.currency} as "${product.key}" is`;
  if (problem !== null)
    throw new DomainError('OFFER_BUMP_INVALID', `bump: "${bump.key}" of offer "${slug}" ${problem}`, {
      slug,
    });
}
