import type { FunnelDefinition } from './funnel.schemas.js';
import type { DefinitionProblem } from './lint/rules.js';

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
