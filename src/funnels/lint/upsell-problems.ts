import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { among, type DefinitionProblem } from './rules.js';

/** Upsells that lead nowhere or round in a circle, and a downsell without the upsell whose place it takes. */
export function upsellProblems({ offers }: FunnelDefinition): DefinitionProblem[] {
  const byKey = new Map(offers.map((offer) => [offer.key, offer]));
  return offers.flatMap((offer, index): DefinitionProblem[] => {
    const problems: DefinitionProblem[] = [];
    for (const name of ['upsell', 'downsell'] as const) {
      const next = offer[name];
      if (next === undefined) continue;
      const path = ['offers', index, name];
      if (!byKey.has(next)) {
        const message = `there is no offer "${next}"${among([...byKey.keys()])}`;
        problems.push({ rule: 'unknown-offer', path, message });
      } else if (leadsTo(next, offer.key, byKey)) {
        const message = `"${next}" leads back to "${offer.key}"; a chain of offers has an end`;
        problems.push({ rule: 'upsell-loop', path, message });
      }
    }
    if (offer.downsell !== undefined && offer.upsell === undefined) {
      const message =
        'a downsell follows an upsell that is declined; name the upsell, or make this one the upsell';
      problems.push({ rule: 'unknown-offer', path: ['offers', index, 'downsell'], message });
    }
    return problems;
  });
}

type Offers = ReadonlyMap<string, { upsell?: string | undefined; downsell?: string | undefined }>;

function leadsTo(from: string, to: string, offers: Offers): boolean {
  return from === to || offersAfter(from, offers).has(to);
}

/** The offers that may be shown after an order of the first, by upsells and downsells. */
export function offersAfter(first: string, offers: Offers): Set<string> {
  const seen = new Set<string>();
  const open = [first];
  for (let key = open.pop(); key !== undefined; key = open.pop()) {
    const { upsell, downsell } = offers.get(key) ?? {};
    for (const next of [upsell, downsell]) {
      if (next === undefined || seen.has(next)) continue;
      seen.add(next);
      open.push(next);
    }
  }
  return seen;
}
