import { parseMoney } from '../../values/money.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { among, type DefinitionProblem } from './rules.js';
import { bareSequence } from '../publish/sequence-definition.js';
import { outcomeProblems, sinceProblems } from './outcome-problems.js';
import { upsellProblems } from './upsell-problems.js';
import { stepProblems } from './step-problems.js';
import { allSteps } from '../schemas/step.schemas.js';

/** What is wrong between the objects of one funnel: names that lead nowhere, steps nobody reaches, mixed currencies. */
export function funnelProblems(
  definition: FunnelDefinition,
  compiled = bareSequence(definition),
): DefinitionProblem[] {
  return [
    ...keyProblems(definition),
    ...stepProblems(definition, compiled),
    ...outcomeProblems(definition, compiled),
    ...sinceProblems(definition),
    ...offerProblems(definition),
    ...upsellProblems(definition),
  ];
}

function keyProblems({ sequence, products, offers }: FunnelDefinition): DefinitionProblem[] {
  const lists: [string, { key: string; path: readonly PropertyKey[] }[]][] = [
    ['step', allSteps(sequence.steps).map(({ step, path }) => ({ key: step.key, path: [...path, 'key'] }))],
    ['product', products.map(({ key }, index) => ({ key, path: ['products', index, 'key'] }))],
    ['offer', offers.map(({ key }, index) => ({ key, path: ['offers', index, 'key'] }))],
  ];
  return lists.flatMap(([kind, entries]) => {
    const seen = new Set<string>();
    return entries.flatMap(({ key, path }): DefinitionProblem[] => {
      if (!seen.has(key)) return (seen.add(key), []);
      return [
        {
          rule: 'duplicate-key',
          path,
          message: `a second ${kind} has the key "${key}"; each key is used once`,
        },
      ];
    });
  });
}

function offerProblems({ offers, products }: FunnelDefinition): DefinitionProblem[] {
  const byKey = new Map(products.map((product) => [product.key, product]));
  return offers.flatMap((offer, index): DefinitionProblem[] => {
    const problems: DefinitionProblem[] = [];
    const main = byKey.get(offer.product);
    const bump = offer.bump === undefined ? undefined : byKey.get(offer.bump);
    if (!main)
      problems.push({
        rule: 'unknown-product',
        path: ['offers', index, 'product'],
        message: `there is no product "${offer.product}"${among([...byKey.keys()])}`,
      });
    if (offer.bump !== undefined && !bump)
      problems.push({
        rule: 'unknown-product',
        path: ['offers', index, 'bump'],
        message: `there is no product "${offer.bump}"${among([...byKey.keys()])}`,
      });
    if (offer.bump === offer.product)
      problems.push({
        rule: 'bump-mismatch',
        path: ['offers', index, 'bump'],
        message: 'the bump must be another product than the offer',
      });
    if (main && bump && parseMoney(main.price).currency !== parseMoney(bump.price).currency) {
      problems.push({
        rule: 'bump-mismatch',
        path: ['offers', index, 'bump'],
        message: 'the bump must be priced in the currency of the offer',
      });
    }
    return problems;
  });
}
