import { parseMoney } from '../values/money.js';
import { allSteps, isBranch, type FunnelDefinition } from './funnel.schemas.js';

export interface DefinitionProblem {
  path: readonly PropertyKey[];
  message: string;
}

/** What is wrong between the objects of one funnel: names that lead nowhere, steps nobody reaches, mixed currencies. */
export function funnelProblems(definition: FunnelDefinition): DefinitionProblem[] {
  return [...keyProblems(definition), ...stepProblems(definition), ...offerProblems(definition)];
}

function keyProblems({ sequence, products, offers }: FunnelDefinition): DefinitionProblem[] {
  const lists: [string, { key: string; path: readonly PropertyKey[] }[]][] = [
    ['step', allSteps(sequence.steps).map(({ step, path }) => ({ key: step.key, path: [...path, 'key'] }))],
    ['product', products.map(({ key }, index) => ({ key, path: ['products', index, 'key'] }))],
    ['offer', offers.map(({ key }, index) => ({ key, path: ['offers', index, 'key'] }))],
  ];
  return lists.flatMap(([kind, entries]) => {
    const seen = new Set<string>();
    return entries.flatMap(({ key, path }) => {
      if (!seen.has(key)) return (seen.add(key), []);
      return [{ path, message: `a second ${kind} has the key "${key}"; each key is used once` }];
    });
  });
}

function stepProblems({ sequence, offers, products }: FunnelDefinition): DefinitionProblem[] {
  const offerKeys = offers.map(({ key }) => key);
  const problems: DefinitionProblem[] = [];
  const earlierEmails: string[] = [];
  for (const { step, path } of allSteps(sequence.steps)) {
    if (isBranch(step)) {
      if (!earlierEmails.includes(step.if.clicked)) {
        problems.push({
          path: [...path, 'if', 'clicked'],
          message: `"${step.if.clicked}" is not an email step before this one${among(earlierEmails)}`,
        });
      }
      if (step.then.length + step.else.length === 0)
        problems.push({ path, message: 'a branch needs steps in then or else' });
      continue;
    }
    earlierEmails.push(step.key);
    if (step.offer !== undefined && !offerKeys.includes(step.offer)) {
      problems.push({
        path: [...path, 'offer'],
        message: `there is no offer "${step.offer}"${among(offerKeys)}`,
      });
    }
    if (step.deadline !== undefined && step.offer === undefined) {
      problems.push({ path: [...path, 'deadline'], message: 'a deadline belongs to a step with an offer' });
    }
    const window = sequence.window;
    if (step.at !== undefined && window && !within(step.at, window.from, window.to)) {
      problems.push({
        path: [...path, 'at'],
        message: `${step.at} lies outside the send window ${window.from} to ${window.to}`,
      });
    }
  }
  for (const [index, { purchased }] of sequence.exitOn.entries()) {
    const keys = products.map(({ key }) => key);
    if (!keys.includes(purchased)) {
      problems.push({
        path: ['sequence', 'exitOn', index, 'purchased'],
        message: `there is no product "${purchased}"${among(keys)}`,
      });
    }
  }
  return problems;
}

function offerProblems({ offers, products }: FunnelDefinition): DefinitionProblem[] {
  const byKey = new Map(products.map((product) => [product.key, product]));
  return offers.flatMap((offer, index): DefinitionProblem[] => {
    const problems: DefinitionProblem[] = [];
    const main = byKey.get(offer.product);
    const bump = offer.bump === undefined ? undefined : byKey.get(offer.bump);
    if (!main)
      problems.push({
        path: ['offers', index, 'product'],
        message: `there is no product "${offer.product}"${among([...byKey.keys()])}`,
      });
    if (offer.bump !== undefined && !bump)
      problems.push({
        path: ['offers', index, 'bump'],
        message: `there is no product "${offer.bump}"${among([...byKey.keys()])}`,
      });
    if (offer.bump === offer.product)
      problems.push({
        path: ['offers', index, 'bump'],
        message: 'the bump must be another product than the offer',
      });
    if (main && bump && parseMoney(main.price).currency !== parseMoney(bump.price).currency) {
      problems.push({
        path: ['offers', index, 'bump'],
        message: 'the bump must be priced in the currency of the offer',
      });
    }
    return problems;
  });
}

function within(time: string, from: string, to: string): boolean {
  return from <= to ? from <= time && time <= to : time >= from || time <= to;
}

function among(names: readonly string[]): string {
  return names.length === 0 ? '' : `; there are: ${names.join(', ')}`;
}
