import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { labelsGiven } from '../lint/between-funnels.js';
import { fieldsOfFunnels } from './funnel-fields.queries.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { among, type DefinitionProblem } from '../lint/rules.js';
import { isLeft, ownedElsewhere } from './moved-objects.queries.js';
import { lostSequences, sequencesNamed } from '../lint/sequences-named.js';

/** What stands between a funnel and the others that are there. */
@Injectable()
export class FunnelConflicts {
  constructor(@Inject(CLOCK) private readonly clock: Clock) {}

  /**
   * Addresses are shared by all funnels: a slug or key that another funnel uses cannot be taken; one it has dropped can.
   * `along`: funnels that are published with this one; what one of them names no more moves here.
   */
  async between(
    manager: EntityManager,
    definition: FunnelDefinition,
    along: readonly FunnelDefinition[],
  ): Promise<DefinitionProblem[]> {
    const { products, offers } = definition;
    const taken = (await ownedElsewhere(manager, definition)).filter((one) => !isLeft(one, along));
    const problems = taken.map(({ kind, key, funnel: other }): DefinitionProblem => ({
      rule: 'name-taken',
      path:
        kind === 'form'
          ? ['form', 'slug']
          : [`${kind}s`, (kind === 'product' ? products : offers).findIndex((o) => o.key === key), 'key'],
      message: `the ${kind} "${key}" belongs to the funnel "${other}"; choose another name, or apply the file of "${other}" without it along with this one, and it moves here`,
    }));
    const over = await this.takenOver(manager, definition);
    const keys = along.map(({ funnel }) => funnel);
    return [...problems, ...over, ...(await this.lost(manager, definition, keys))];
  }

  /** As `labelsGiven`, of the other funnels as they are, and as those are that are published with this one. */
  async labels(
    manager: EntityManager,
    definition: FunnelDefinition,
    along: readonly FunnelDefinition[],
  ): Promise<DefinitionProblem[]> {
    if (definition.fields === undefined) return [];
    const stored = await fieldsOfFunnels(manager, definition.funnel);
    const here = new Set([definition, ...along].map(({ funnel }) => funnel));
    const others = stored.filter(({ funnel }) => !here.has(funnel));
    const before = stored.find(({ funnel }) => funnel === definition.funnel);
    return labelsGiven(definition, [...along, ...others], before);
  }

  /** Products that another funnel has dropped, and that somebody has: under its key it stays the same product for them. */
  private async takenOver(
    manager: EntityManager,
    { funnel, products }: FunnelDefinition,
  ): Promise<DefinitionProblem[]> {
    const rows: { key: string; other: string; buyers: number; members: number }[] = await manager.query(
      `select key, other, buyers, members from (
         select p.key, p.funnel_key as other,
           (select count(distinct o.subscriber_id) from order_line l join orders o on o.id = l.order_id
             where l.product_id = p.id and l.taken_back_at is null and o.status = 'paid')::int as buyers,
           (select count(*) from membership m where m.product_id = p.id and m.state = 'active'
              and (m.ends_at is null or m.ends_at > $3))::int as members
         from product p where p.key = any ($2) and p.funnel_key <> $1 and p.archived_at is not null) had
       where buyers > 0 or members > 0`,
      [funnel, products.map(({ key }) => key), this.clock.now()],
    );
    return rows.map(({ key, other, buyers, members }) => ({
      rule: 'product-taken-over',
      path: ['products', products.findIndex((product) => product.key === key), 'key'],
      message: `the product "${key}" was sold by the funnel "${other}": its buyers (${buyers}) count as buyers of this one, and who buys it prolongs the membership by it that they have (${members} run); choose another key if it is another product`,
    }));
  }

  /** Sequences that are named and not there. */
  private async lost(
    manager: EntityManager,
    definition: FunnelDefinition,
    along: readonly string[],
  ): Promise<DefinitionProblem[]> {
    if (sequencesNamed(definition).length === 0) return [];
    const others: { key: string }[] = await manager.query(
      'select key from sequence where key <> $1 order by key',
      [definition.funnel],
    );
    const keys = [...new Set([...others.map(({ key }) => key), ...along])];
    return lostSequences(definition, keys, ({ key, path, isListenedTo }) => ({
      ...{ rule: isListenedTo ? 'sequence-elsewhere' : 'unknown-sequence', path },
      message: `there is no sequence "${key}"${isListenedTo ? ' yet' : ''}${among(keys)}`,
    }));
  }
}
