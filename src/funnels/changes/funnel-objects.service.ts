import { Injectable } from '@nestjs/common';
import { notFound } from '../../values/not-found.js';
import type { ChangeOptions } from './funnel-changes.service.js';
import { writeFunnelFile } from '../yaml/funnel-file.js';
import type { Texts } from '../../values/template-texts.js';
import { collectTemplates } from '../templates/funnel-templates.js';
import { funnelSchema, type FunnelDefinition } from '../schemas/funnel.schemas.js';
import { FunnelsService, type FunnelPlan } from '../funnels.service.js';

/** Mails and pages stay as they are; what the funnel does not use any more is left out, and what is new comes from the folder. */
async function usedOf(wanted: object, kept: Texts | undefined): Promise<Texts | undefined> {
  const read = funnelSchema.safeParse(wanted);
  if (!read.success || kept === undefined) return kept;
  const { texts } = await collectTemplates(read.data, async (path) => Promise.resolve(kept[path] ?? null));
  return texts;
}

type ObjectList = 'products' | 'offers';

/**
 * The objects of a funnel one by one: each change is the change of its funnel, so that it is checked, planned, kept as a
 * version and rolled back like any other. Throws as `FunnelsService`, and `FUNNEL_PLAN_CONFLICT` when the funnel changed
 * while this was under way; lines are those of the funnel's export.
 */
@Injectable()
export class FunnelObjectsService {
  constructor(private readonly funnels: FunnelsService) {}

  /** Makes the object of this key, at the end of its list, or puts it in the place of the one that is there. */
  async put(
    funnel: string,
    { list, key, fields }: { list: ObjectList; key: string; fields: object },
    options: ChangeOptions & { dryRun: boolean },
  ): Promise<FunnelPlan> {
    return this.change(funnel, options, (definition) => {
      const before: readonly { key: string }[] = definition[list];
      const next = { key, ...fields };
      const isThere = before.some((one) => one.key === key);
      const after = isThere ? before.map((one) => (one.key === key ? next : one)) : [...before, next];
      return { ...definition, [list]: after };
    });
  }

  /** Takes it out of its funnel. Throws `PRODUCT_NOT_FOUND` and `OFFER_NOT_FOUND`. */
  async remove(list: ObjectList, key: string): Promise<FunnelPlan> {
    const owners = (await this.funnels.list()).filter(({ definition }) =>
      definition[list].some((one) => one.key === key),
    );
    // One that is archived names it still when another has it by now.
    const owner = owners.find(({ archivedAt }) => archivedAt === null) ?? owners[0];
    if (!owner) throw notFound(list === 'products' ? 'product' : 'offer', key, 'key');
    return this.change(owner.key, { dryRun: false }, (definition) => ({
      ...definition,
      [list]: definition[list].filter((one) => one.key !== key),
    }));
  }

  async putPart(
    funnel: string,
    part: 'form' | 'sequence',
    fields: object,
    options: ChangeOptions & { dryRun: boolean },
  ): Promise<FunnelPlan> {
    return this.change(funnel, options, (definition) => ({ ...definition, [part]: fields }));
  }

  private async change(
    funnel: string,
    { dryRun, ...options }: ChangeOptions & { dryRun: boolean },
    next: (definition: FunnelDefinition) => object,
  ): Promise<FunnelPlan> {
    const { definition, version } = await this.funnels.get(funnel);
    const wanted = next(definition);
    const yaml = writeFunnelFile(wanted, await usedOf(wanted, await this.funnels.keptTexts(funnel)));
    return dryRun
      ? this.funnels.plan(yaml, null, funnel, options)
      : this.funnels.apply(yaml, null, funnel, { ...options, version, by: 'API' });
  }
}
