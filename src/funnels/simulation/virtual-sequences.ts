import type { Sender } from '../../delivery/message/message.js';
import type { RunningVersion } from '../../sequences/advance/advance-batch.js';
import {
  leafKey,
  type EntryTrigger,
  type FieldTrigger,
  type Trigger,
} from '../../sequences/steps/condition.js';
import type { OfferSnapshot, SequenceNode } from '../../sequences/steps/definition.js';
import { prepareSequence, type PreparedSequence } from '../../sequences/steps/prepared.js';
import { parseMoney, parsePercentBps, type Money } from '../../values/money.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { termsOf } from '../publish/affiliate-terms.js';
import { hasPersonalDeadline, offerSnapshot } from '../publish/offer-snapshot.js';
import { sequenceDefinition } from '../publish/sequence-definition.js';

export type AffiliateTerms = NonNullable<ReturnType<typeof termsOf>>;

interface VirtualProduct {
  key: string;
  price: Money;
  /** As `parseTerm` reads it; null: it makes nobody a member. */
  membership: string | null;
}

/** An offer as a checkout sells it. */
export interface VirtualOffer {
  slug: string;
  /** Whose terms for affiliates count. */
  funnel: string;
  product: VirtualProduct;
  bump: VirtualProduct | null;
  discountBps: number;
  personalDeadline: boolean;
  /** Slugs of the offers that follow. */
  upsell: string | null;
  downsell: string | null;
}

/** The funnels of a simulation as they would stand in the database after they were applied, in that order. */
export interface VirtualFunnels {
  /** By the key of the sequence, which is that of its funnel. */
  versions: ReadonlyMap<string, RunningVersion>;
  offers: ReadonlyMap<string, VirtualOffer>;
  /** What affiliates earn, by funnel. */
  terms: ReadonlyMap<string, AffiliateTerms>;
  /** The funnel whose form people sign up with. */
  form: { funnel: string; optIn: 'double' | 'single' };
}

/** The first of the funnels is the one people sign up with. The others, to which it leads, were there before it. */
export function virtualFunnels(
  definitions: readonly [FunnelDefinition, ...FunnelDefinition[]],
): VirtualFunnels {
  const [first, ...others] = definitions;
  return {
    versions: new Map(
      [...others, first].map((definition) => [
        definition.funnel,
        runningVersion(definition.funnel, definition.sender, prepared(definition)),
      ]),
    ),
    offers: new Map(definitions.flatMap(offersOf).map((offer) => [offer.slug, offer])),
    terms: new Map(
      definitions.flatMap((definition) => {
        const terms = termsOf(definition);
        return terms === null ? [] : [[definition.funnel, terms]];
      }),
    ),
    form: { funnel: first.funnel, optIn: first.form.optIn },
  };
}

/** The sequences that begin with the trigger, in the order in which they were applied. */
export function sequencesBegunBy({ versions }: VirtualFunnels, trigger: Trigger | EntryTrigger): string[] {
  const name = (one: Trigger | EntryTrigger): string =>
    'sequence' in one ? `${leafKey(one)} of ${one.sequence}` : leafKey(one);
  return [...versions]
    .filter(([, { sequence }]) =>
      (sequence.definition.enterOn ?? []).some((one) => name(one) === name(trigger)),
    )
    .map(([key]) => key);
}

/** The values of fields that sequences begin with, each once. */
export function entryFields({ versions }: VirtualFunnels): FieldTrigger[] {
  const triggers = [...versions.values()].flatMap(({ sequence }) => sequence.definition.enterOn ?? []);
  const fields = triggers.filter((one): one is FieldTrigger => one.kind === 'field');
  return [...new Map(fields.map((one) => [leafKey(one), one])).values()];
}

export function nodeOf(funnels: VirtualFunnels, sequence: string, step: string): SequenceNode | undefined {
  return funnels.versions.get(sequence)?.sequence.nodes.get(step);
}

/** The place of a step in the file of its sequence, from 0. */
export function placeOf({ versions }: VirtualFunnels, sequence: string, step: string): number {
  return versions.get(sequence)?.sequence.definition.nodes.findIndex(({ key }) => key === step) ?? -1;
}

function prepared(definition: FunnelDefinition): PreparedSequence {
  return prepareSequence(
    sequenceDefinition(definition, {
      // An arm of a split test may have a subject of its own.
      templateId: (key, subject) => (subject === undefined ? key : `${key}, “${subject}”`),
      offer: (key): OfferSnapshot | undefined => offerSnapshot(definition, key),
    }),
  );
}

function runningVersion(funnelKey: string, sender: Sender, sequence: PreparedSequence): RunningVersion {
  return { funnelKey, sender, sequence, offers: new Map() };
}

function offersOf(definition: FunnelDefinition): VirtualOffer[] {
  const product = (key: string | undefined): VirtualProduct | null => {
    const found = definition.products.find((one) => one.key === key);
    if (!found) return null;
    return { key: found.key, price: parseMoney(found.price), membership: found.membership?.lasts ?? null };
  };
  return definition.offers.flatMap((offer): VirtualOffer[] => {
    const { key: slug, product: sold, bump, discount, upsell = null, downsell = null } = offer;
    const main = product(sold);
    if (main === null) return [];
    return [
      {
        ...{ slug, funnel: definition.funnel, upsell, downsell },
        product: main,
        bump: product(bump),
        discountBps: discount === undefined ? 0 : parsePercentBps(discount),
        personalDeadline: hasPersonalDeadline(definition, slug),
      },
    ];
  });
}
