import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { DomainError } from '../values/domain-error.js';
import { moneyOf, type Money } from '../values/money.js';
import type { Product } from './offer.js';
import { findProduct, listProducts } from './offers.queries.js';

interface ProductDefinition {
  key: string;
  funnelKey: string;
  name: string;
  description: string;
  price: Money;
  fileIds: readonly string[];
  licence: boolean;
  membership?: string | undefined;
}

/** What is sold. The only writer of `product`. */
@Injectable()
export class ProductsService {
  constructor(
    private readonly dataSource: DataSource,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Makes the product, or brings it to this definition; the id stays. Orders that were placed keep their amounts.
   * Throws `PRODUCT_PRICE_INVALID` below zero, `PRODUCT_KEY_CONFLICT` when the key belongs to another funnel.
   * One that is out of sale may be taken over by another funnel, as the same product: who has bought it has bought it, and
   * who buys it prolongs the membership they have. The lint says so where it concerns anybody.
   */
  async publish(manager: EntityManager, definition: ProductDefinition): Promise<string> {
    const { key, funnelKey, name, description, fileIds, licence } = definition;
    const price = moneyOf(definition.price.amountMinor, definition.price.currency);
    if (price.amountMinor < 0) {
      throw new DomainError('PRODUCT_PRICE_INVALID', `price: product "${key}" needs a price of 0 or more`, {
        key,
      });
    }
    const rows: { id: string }[] = await manager.query(
      `insert into product (key, funnel_key, name, description, amount_minor, currency, file_ids, licence, membership, created_at, updated_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $10, $9, $9)
       on conflict (key) do update set funnel_key = excluded.funnel_key, name = excluded.name, description = excluded.description,
         amount_minor = excluded.amount_minor, currency = excluded.currency, file_ids = excluded.file_ids,
         licence = excluded.licence, membership = excluded.membership, updated_at = excluded.updated_at, archived_at = null
       where product.funnel_key = excluded.funnel_key or product.archived_at is not null
       returning id`,
      [
        key,
        funnelKey,
        name,
        description,
        price.amountMinor,
        price.currency,
        JSON.stringify(fileIds),
        licence,
        this.clock.now(),
        definition.membership ?? null,
      ],
    );
    const id = rows[0]?.id;
    if (id === undefined) {
      throw new DomainError(
        'PRODUCT_KEY_CONFLICT',
        `key: another funnel has a product "${key}"; choose another key`,
        { key },
      );
    }
    return id;
  }

  async findByKey(key: string): Promise<Product | null> {
    return findProduct(this.dataSource.manager, key);
  }

  /** Newest first; `beforeId` is the last one the caller has seen. */
  async list(page: { beforeId?: string | undefined; limit: number }): Promise<Product[]> {
    return listProducts(this.dataSource.manager, page);
  }

  /** Gives the product to another funnel, with all who have bought it. */
  async moveTo(manager: EntityManager, key: string, funnelKey: string): Promise<void> {
    await manager.query('update product set funnel_key = $2 where key = $1', [key, funnelKey]);
  }

  /** Brings the funnel's products back; returns those that are its own still. */
  async restore(manager: EntityManager, funnelKey: string, keys: readonly string[]): Promise<string[]> {
    const [rows]: [{ key: string }[], number] = await manager.query(
      'update product set archived_at = null where funnel_key = $1 and key = any($2::text[]) returning key',
      [funnelKey, keys],
    );
    return rows.map(({ key }) => key);
  }

  /** Takes the funnel's products that are not named out of sale. What was bought is still delivered. */
  async archiveExcept(manager: EntityManager, funnelKey: string, keys: readonly string[]): Promise<void> {
    await manager.query(
      `update product set archived_at = $3, updated_at = $3
        where funnel_key = $1 and archived_at is null and key <> all($2)`,
      [funnelKey, keys, this.clock.now()],
    );
  }
}
