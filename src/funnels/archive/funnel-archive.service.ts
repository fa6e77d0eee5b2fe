import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { holdFunnels } from '../../infra/database/funnel-lock.js';
import { OffersService } from '../../offers/offers.service.js';
import { ProductsService } from '../../offers/products.service.js';
import { ClosedSequences } from '../../sequences/closing/closed-sequences.service.js';
import { FormsService } from '../../signup/forms.service.js';
import { DomainError } from '../../values/domain-error.js';
import { notFound } from '../../values/not-found.js';
import { FunnelStore, type PeopleAfter, type StoredFunnel } from '../funnel-store.service.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';

/**
 * Funnels that are put away: nobody new comes in, and their figures, orders, downloads and memberships stay. `end`: who is in the
 * sequence is ended, and the offers are closed. `finish`: who is in it goes on to the end, and the offers that it leads to stay
 * on sale for them until the owner ends it.
 */
@Injectable()
export class FunnelArchive {
  constructor(
    private readonly dataSource: DataSource,
    private readonly store: FunnelStore,
    private readonly forms: FormsService,
    private readonly offers: OffersService,
    private readonly products: ProductsService,
    private readonly sequences: ClosedSequences,
  ) {}

  /** Repeating it changes nothing but `finish` to `end`; who was ended stays so. Throws `FUNNEL_NOT_FOUND`. */
  async archive(key: string, { people, by }: { people: PeopleAfter; by: string }): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      await holdFunnels(manager);
      const { peopleAfter } = await this.stored(manager, key);
      if (peopleAfter === 'end' || peopleAfter === people) return;
      await this.forms.archiveExcept(manager, key, []);
      if (people === 'end') {
        await this.offers.archiveExcept(manager, key, []);
        await this.products.archiveExcept(manager, key, []);
      }
      await this.sequences.close(manager, key, { endsPeople: people === 'end' });
      await this.store.archive(manager, key, { people, by });
    });
  }

  /**
   * As it was before, with nobody who was ended. Repeating it changes nothing. Throws `FUNNEL_NOT_FOUND`, and
   * `FUNNEL_UNARCHIVE_CONFLICT` where another funnel has taken its form, an offer or a product.
   */
  async unarchive(key: string): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      await holdFunnels(manager);
      const stored = await this.stored(manager, key);
      if (stored.peopleAfter !== null) await this.restore(manager, stored.state.definition);
    });
  }

  /** What the definition names is there again; the caller holds the funnels. */
  async restore(manager: EntityManager, definition: FunnelDefinition): Promise<void> {
    const { funnel, form, products, offers } = definition;
    const names = {
      form: [form.slug],
      product: products.map(({ key }) => key),
      offer: offers.map(({ key }) => key),
    };
    const back = {
      form: await this.forms.restore(manager, funnel, names.form),
      product: await this.products.restore(manager, funnel, names.product),
      offer: await this.offers.restore(manager, funnel, names.offer),
    };
    for (const kind of ['form', 'product', 'offer'] as const) {
      const lost = names[kind].find((name) => !back[kind].includes(name));
      if (lost === undefined) continue;
      const message = `the ${kind} "${lost}" belongs to another funnel by now; apply the funnel with another one, or move it back`;
      throw new DomainError('FUNNEL_UNARCHIVE_CONFLICT', message, { key: funnel, kind, name: lost });
    }
    await this.sequences.open(manager, funnel);
    await this.store.unarchive(manager, funnel);
  }

  /** Whom it concerns: how many are in its sequence, and keys of the funnels whose sequences move people there. */
  async concerns(key: string): Promise<{ people: number; leadIn: string[] }> {
    return { people: await this.sequences.peopleIn(key), leadIn: await this.sequences.leadIn(key) };
  }

  private async stored(manager: EntityManager, key: string): Promise<StoredFunnel> {
    const stored = await this.store.find(manager, key);
    if (stored === null) throw notFound('funnel', key, 'key');
    return stored;
  }
}
