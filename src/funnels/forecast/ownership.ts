import { isMail, type SequenceDefinition } from '../../sequences/steps/definition.js';
import { offersOf } from '../../sequences/steps/prepared.js';

/** What decides by what somebody owns which of its mails they get. */
interface SellingVersion {
  id: string;
  sequence: string;
  isCurrent: boolean;
  definition: SequenceDefinition;
}

interface SoldBy {
  slug: string;
  productKey: string;
  upsell: string | null;
  downsell: string | null;
}

/**
 * Of each version, the products that it matters to own for who stands in it: those of its offers, of what is shown after
 * them, and of the sequences that people come to from there. More than these would part people without need.
 */
export function productsAsked(
  versions: readonly SellingVersion[],
  offers: readonly SoldBy[],
): { versionIds: string[]; products: string[] } {
  const bySlug = new Map(offers.map((offer) => [offer.slug, offer]));
  const current = new Map(versions.filter((one) => one.isCurrent).map((one) => [one.sequence, one]));
  const asked = { versionIds: [] as string[], products: [] as string[] };
  for (const version of versions) {
    const sold = reached([version], (one) => nextOf(one, current)).flatMap(({ definition }) =>
      definition.nodes.filter(isMail).flatMap(offersOf),
    );
    const shown = reached(offersNamed(sold, bySlug), ({ upsell, downsell }) =>
      offersNamed([upsell, downsell], bySlug),
    );
    for (const product of new Set(shown.map(({ productKey }) => productKey))) {
      asked.versionIds.push(version.id);
      asked.products.push(product);
    }
  }
  return asked;
}

/** The sequences that a step may bring somebody to: by a move, or by what it changes where others begin with that. */
function nextOf(
  { definition }: SellingVersion,
  current: ReadonlyMap<string, SellingVersion>,
): SellingVersion[] {
  const changes = definition.nodes.some(({ kind }) => kind === 'tag' || kind === 'set');
  const moves = new Set(definition.nodes.flatMap((node) => (node.kind === 'move' ? [node.sequence] : [])));
  return [...current.values()].filter(
    (other) => moves.has(other.sequence) || (changes && (other.definition.enterOn ?? []).length > 0),
  );
}

function offersNamed(slugs: readonly (string | null)[], bySlug: ReadonlyMap<string, SoldBy>): SoldBy[] {
  return slugs.flatMap((slug) => (slug === null ? [] : (bySlug.get(slug) ?? [])));
}

/** Those at the start and all that they lead to, each once. */
function reached<T>(start: readonly T[], next: (one: T) => readonly T[]): T[] {
  const found = new Set(start);
  // A set goes on to what is added while it is gone through.
  for (const one of found) for (const other of next(one)) found.add(other);
  return [...found];
}
