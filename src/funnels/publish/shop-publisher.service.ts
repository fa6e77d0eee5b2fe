import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { AffiliateTermsService } from '../../affiliates/affiliate-terms.service.js';
import type { KeptTexts } from '../../values/template-texts.js';
import { OffersService } from '../../offers/offers.service.js';
import { ProductsService } from '../../offers/products.service.js';
import { parseMoney, parsePercentBps } from '../../values/money.js';
import { termsOf } from './affiliate-terms.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { hasPersonalDeadline } from './offer-snapshot.js';

interface ShopParts {
  fileId: (name: string) => string;
  receiptTemplateId: string;
  pages: KeptTexts | undefined;
}

/** What a funnel sells: its products and offers, and what affiliates earn by them. */
@Injectable()
export class ShopPublisher {
  constructor(
    private readonly products: ProductsService,
    private readonly offers: OffersService,
    private readonly terms: AffiliateTermsService,
  ) {}

  async publish(
    manager: EntityManager,
    definition: FunnelDefinition,
    { fileId, receiptTemplateId, pages }: ShopParts,
  ): Promise<void> {
    const { funnel: funnelKey, products, offers, sender } = definition;
    for (const { key, name, description, price, delivers, licence, membership } of products) {
      await this.products.publish(manager, {
        key,
        funnelKey,
        name,
        description,
        licence,
        price: parseMoney(price),
        fileIds: delivers.map(fileId),
        membership: membership?.lasts,
      });
    }
    for (const offer of offers) {
      const product = products.find(({ key }) => key === offer.product);
      await this.offers.publish(manager, {
        slug: offer.key,
        funnelKey,
        sender,
        productKey: offer.product,
        content: {
          title: product?.name ?? offer.key,
          headline: offer.headline ?? product?.name ?? offer.key,
          description: product?.description ?? '',
          bullets: offer.bullets,
          receiptTemplateId,
          pages,
        },
        discountBps: offer.discount === undefined ? 0 : parsePercentBps(offer.discount),
        ...(offer.bump === undefined ? {} : { bumpProductKey: offer.bump }),
        upsell: offer.upsell,
        downsell: offer.downsell,
        personalDeadline: hasPersonalDeadline(definition, offer.key),
      });
    }
    await this.terms.publish(manager, funnelKey, termsOf(definition));
  }

  async moveTo(
    manager: EntityManager,
    { kind, key }: { kind: 'product' | 'offer'; key: string },
    funnelKey: string,
  ): Promise<void> {
    await (kind === 'product' ? this.products : this.offers).moveTo(manager, key, funnelKey);
  }

  async archiveRest(manager: EntityManager, { funnel, products, offers }: FunnelDefinition): Promise<void> {
    await this.offers.archiveExcept(
      manager,
      funnel,
      offers.map(({ key }) => key),
    );
    await this.products.archiveExcept(
      manager,
      funnel,
      products.map(({ key }) => key),
    );
  }
}
