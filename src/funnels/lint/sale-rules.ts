import { parseMoney, parsePercentBps } from '../../values/money.js';
import type { FunnelTrigger } from '../schemas/condition.schemas.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { allSteps, mailSteps } from '../schemas/step.schemas.js';
import type { DefinitionProblem } from './rules.js';

const ALL_BPS = 10_000;

/** The products that somebody can buy: through an offer, or beside one. */
export function soldProducts({ offers }: FunnelDefinition): Set<string> {
  return new Set(offers.flatMap(({ product, bump }) => (bump === undefined ? [product] : [product, bump])));
}

/** Products nobody gets anything for or nobody can buy, offers that cost nothing, goals that never come. */
export function saleProblems(definition: FunnelDefinition, sold: ReadonlySet<string>): DefinitionProblem[] {
  const { products, offers } = definition;
  const prices = new Map(products.map(({ key, price }) => [key, parseMoney(price).amountMinor]));
  return [
    ...products.flatMap(({ key, delivers, licence, membership }, index): DefinitionProblem[] => {
      const path = ['products', index];
      const problems: DefinitionProblem[] = [];
      if (delivers.length === 0 && !licence && membership === undefined) {
        const message = `who buys "${key}" gets nothing from here; name files in delivers, or give it a licence or a membership`;
        problems.push({ rule: 'product-without-delivery', path, message });
      }
      if (!sold.has(key)) {
        const message = `no offer sells "${key}"; name it as the product or the bump of one`;
        problems.push({ rule: 'product-not-offered', path, message });
      }
      return problems;
    }),
    ...offers.flatMap(({ key, product, discount }, index): DefinitionProblem[] => {
      const isFree = discount !== undefined && parsePercentBps(discount) >= ALL_BPS;
      if (!isFree && prices.get(product) !== 0) return [];
      const message = `the offer "${key}" costs nothing; set a price above 0 or a discount below 100%`;
      return [{ rule: 'offer-for-nothing', path: ['offers', index], message }];
    }),
    ...ownedUpsells(definition),
    ...ownedPitches(definition),
    ...affiliateProblems(definition),
    ...goalProblems(definition, sold),
  ];
}

/** Terms by which nobody can earn anything. */
function affiliateProblems({ affiliates, offers }: FunnelDefinition): DefinitionProblem[] {
  if (affiliates === undefined) return [];
  const path = ['affiliates', 'commission'];
  const rule = 'commission-for-nothing';
  const nothing = parsePercentBps(affiliates.commission) + parsePercentBps(affiliates.secondTier) === 0;
  if (nothing)
    return [{ rule, path, message: 'affiliates earn 0%; set a share above that, or leave affiliates out' }];
  if (offers.length > 0) return [];
  return [
    { rule, path, message: 'affiliates earn by sales, and no offer sells anything here; add an offer' },
  ];
}

/** A product that is not there at all is an error of its own. */
function goalProblems(
  { sequence, products }: FunnelDefinition,
  sold: ReadonlySet<string>,
): DefinitionProblem[] {
  const known = new Set(products.map(({ key }) => key));
  // Programs may grant a membership by hand, but nobody would begin one of a product that is not sold.
  const never = (trigger: FunnelTrigger): boolean => {
    const product = productOf(trigger);
    return product !== null && known.has(product) && !sold.has(product);
  };
  const goals = allSteps(sequence.steps).flatMap(({ step, path }): DefinitionProblem[] => {
    if (!('goal' in step) || ![step.goal].flat().every(never)) return [];
    const message = `nobody comes to the goal "${step.key}": no offer sells what it waits for; sell it, or wait for a tag or an event`;
    return [{ rule: 'goal-never-reached', path: [...path, 'goal'], message }];
  });
  const exits = sequence.exitOn.flatMap((trigger, index): DefinitionProblem[] => {
    const kind = 'member' in trigger ? 'member' : 'refunded' in trigger ? 'refunded' : 'purchased';
    if (!never(trigger)) return [];
    const message = `nobody leaves by ${kind === 'refunded' ? 'giving back' : 'buying'} "${productOf(trigger) ?? ''}": no offer sells it`;
    return [{ rule: 'goal-never-reached', path: ['sequence', 'exitOn', index, kind], message }];
  });
  return [...goals, ...exits];
}

function productOf(trigger: FunnelTrigger): string | null {
  if ('purchased' in trigger) return trigger.purchased;
  if ('refunded' in trigger) return trigger.refunded;
  return 'member' in trigger ? trigger.member : null;
}

/** Who begins the sequence by getting a product is passed over where it is offered. */
function ownedPitches({ sequence, offers }: FunnelDefinition): DefinitionProblem[] {
  const gained = new Set(
    (sequence.enterOn ?? []).flatMap((trigger) =>
      'purchased' in trigger || ('member' in trigger && (trigger.state ?? 'active') === 'active')
        ? [productOf(trigger)]
        : [],
    ),
  );
  const renewed = new Set<string>();
  return mailSteps(sequence.steps).flatMap(({ step, path }): DefinitionProblem[] => {
    if (typeof step.until === 'object' && 'member' in step.until) renewed.add(step.until.member);
    const product = offers.find(({ key }) => key === step.offer)?.product;
    if (product === undefined || !gained.has(product) || step.toOwners !== undefined) return [];
    if (renewed.has(product)) return [];
    const message = `who begins by getting "${product}" owns it and is passed over here; write toOwners: send to offer it to them again, or toOwners: skip if that is meant`;
    return [{ rule: 'offer-to-owners', path: [...path, 'offer'], message }];
  });
}

/** Nobody is offered what they have bought with the offer before. */
function ownedUpsells({ offers }: FunnelDefinition): DefinitionProblem[] {
  return offers.flatMap(({ key, product, upsell, downsell }, index) =>
    Object.entries({ upsell, downsell }).flatMap(([name, next]): DefinitionProblem[] => {
      if (next === undefined || offers.find((one) => one.key === next)?.product !== product) return [];
      const message = `nobody is shown "${next}" after "${key}": both sell "${product}", which they own by then`;
      return [{ rule: 'upsell-never-shown', path: ['offers', index, name], message }];
    }),
  );
}
