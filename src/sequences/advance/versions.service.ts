import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { Sender } from '../../delivery/message/message.js';
import type { OfferNow, RunningVersion } from './advance-batch.js';
import { applyDiscountBps } from '../../values/money.js';
import { isMail, type SequenceDefinition } from '../steps/definition.js';
import { offersOf, prepareSequence, type PreparedSequence } from '../steps/prepared.js';

/** The versions people are in, made ready to run. A version never changes and is read once; its funnel's sender and prices may. */
@Injectable()
export class VersionsService {
  readonly #prepared = new Map<string, PreparedSequence>();

  async running(
    manager: EntityManager,
    people: readonly { versionId: string }[],
  ): Promise<Map<string, RunningVersion>> {
    const ids = [...new Set(people.map(({ versionId }) => versionId))];
    const rows: { id: string; definition: SequenceDefinition | null; funnelKey: string; sender: Sender }[] =
      await manager.query(
        `select v.id, case when v.id = any($2::bigint[]) then null else v.definition end as definition,
           q.funnel_key as "funnelKey", q.sender
         from sequence_version v join sequence q on q.id = v.sequence_id where v.id = any($1::bigint[])`,
        [ids, ids.filter((id) => this.#prepared.has(id))],
      );
    const versions = rows.flatMap(({ id, definition, ...rest }) => {
      const sequence = definition === null ? this.#prepared.get(id) : this.prepare(id, definition);
      return sequence === undefined ? [] : [{ id, sequence, ...rest }];
    });
    const offers = await offersNow(manager, versions);
    return new Map(versions.map(({ id, ...version }) => [id, { ...version, offers }]));
  }

  prepare(versionId: string, definition: SequenceDefinition): PreparedSequence {
    const known = this.#prepared.get(versionId);
    if (known) return known;
    const prepared = prepareSequence(definition);
    this.#prepared.set(versionId, prepared);
    return prepared;
  }
}

interface OfferRow {
  slug: string;
  productId: string;
  product: string;
  title: string;
  amountMinor: number;
  currency: string;
  discountBps: number;
}

/** What the mails of these versions offer, as the checkout sells it now; one that is sold no more is not among them. */
async function offersNow(
  manager: EntityManager,
  versions: readonly { sequence: PreparedSequence }[],
): Promise<Map<string, OfferNow>> {
  const slugs = new Set(
    versions.flatMap(({ sequence }) => sequence.definition.nodes.filter(isMail).flatMap(offersOf)),
  );
  if (slugs.size === 0) return new Map();
  const rows: OfferRow[] = await manager.query(
    `select o.slug, p.id as "productId", p.key as product, p.name as title, p.amount_minor::float8 as "amountMinor", p.currency, o.discount_bps as "discountBps"
       from offer o join product p on p.id = o.product_id where o.slug = any($1::text[]) and o.archived_at is null`,
    [[...slugs]],
  );
  return new Map(
    rows.map(({ slug, productId, product, title, amountMinor, currency, discountBps }) => {
      const fullPrice = { amountMinor, currency };
      const price = { amountMinor: applyDiscountBps(amountMinor, discountBps), currency };
      return [slug, { slug, productId, product, title, price, fullPrice, discountBps }];
    }),
  );
}
