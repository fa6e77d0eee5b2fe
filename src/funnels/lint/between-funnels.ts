import type { OwnFields } from '../schemas/field.schemas.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import type { DefinitionProblem } from './rules.js';

/** What the funnel names as its own and another of those that come with it does, too. */
export function namesTaken(
  definition: FunnelDefinition,
  others: readonly FunnelDefinition[],
): DefinitionProblem[] {
  const { funnel, form, products, offers } = definition;
  const taken = (kind: string, key: string, path: PropertyKey[], keys: (of: FunnelDefinition) => string[]) =>
    others
      .filter((other) => keys(other).includes(key))
      .map(({ funnel: other }): DefinitionProblem => {
        const message =
          kind === 'funnel'
            ? `the funnel "${key}" is described twice; leave one of them out`
            : `the ${kind} "${key}" belongs to the funnel "${other}"; choose another name`;
        return { rule: 'name-taken', path, message };
      });
  return [
    ...taken('funnel', funnel, ['funnel'], (other) => [other.funnel]),
    ...taken('form', form.slug, ['form', 'slug'], (other) => [other.form.slug]),
    ...products.flatMap(({ key }, index) =>
      taken('product', key, ['products', index, 'key'], (other) => other.products.map((one) => one.key)),
    ),
    ...offers.flatMap(({ key }, index) =>
      taken('offer', key, ['offers', index, 'key'], (other) => other.offers.map((one) => one.key)),
    ),
  ];
}

export type Labelled = Pick<FunnelDefinition, 'funnel' | 'fields'>;

/**
 * A field has one label, and each apply writes that of its file: where two files gave it another, each apply would take back
 * that of the one before, and no plan would ever be empty. Who comes with a label that an applied funnel does not give is
 * refused; of those that have come with two already, as `before` shows of this one, neither is kept from other changes.
 */
export function labelsGiven(
  definition: Labelled,
  others: readonly Labelled[],
  before?: Labelled,
): DefinitionProblem[] {
  return Object.entries(definition.fields ?? {}).flatMap(([key, field]): DefinitionProblem[] => {
    const own = labelIn(field);
    const other = others.find(({ fields }) => ![undefined, own].includes(labelIn(fields?.[key])));
    const theirs = labelIn(other?.fields?.[key]);
    if (own === undefined || other === undefined || theirs === undefined) return [];
    const path = ['fields', key, 'label'];
    if (labelIn(before?.fields?.[key]) === own) {
      const message = `the funnel "${definition.funnel}" gives the field ${key} the label "${own}", and the funnel "${other.funnel}" "${theirs}"; its label stays as it is until they give it the same`;
      return [{ rule: 'label-elsewhere', path, message }];
    }
    const message = `the funnel "${other.funnel}" gives the field ${key} the label "${theirs}"; give it the same here, leave the label out, or change it in the file of "${other.funnel}", too, and apply the two together`;
    return [{ rule: 'wrong-value', path, message }];
  });
}

/** The fields of the funnel whose labels an apply leaves as they are. `stored`: all funnels as they are applied. */
export function labelsLeft(definition: Labelled, stored: readonly Labelled[]): Set<PropertyKey | undefined> {
  const before = stored.find(({ funnel }) => funnel === definition.funnel);
  const others = stored.filter((one) => one !== before);
  const left = labelsGiven(definition, others, before).filter(({ rule }) => rule === 'label-elsewhere');
  return new Set(left.map(({ path }) => path[1]));
}

function labelIn(field: OwnFields[string] | undefined): string | undefined {
  return typeof field === 'object' ? field.label : undefined;
}
