/** What was offered after an order. `downsell`: the offer that follows when this one is declined. */
export interface Offered {
  id: string;
  slug: string;
  kind: 'upsell' | 'downsell';
  downsell: string | null;
  /** `withdrawn`: before the buyer answered they came to own it, or it was taken off sale. */
  answer: 'taken' | 'declined' | 'withdrawn' | null;
  /** Whether the order that came of it is paid. */
  paid: boolean;
}

type NextOffer =
  | { kind: 'open'; id: string }
  | { kind: 'none' }
  /** In this order, the first that the buyer may be shown. */
  | { kind: 'new'; candidates: Candidate[] };

export interface Candidate {
  slug: string;
  kind: 'upsell' | 'downsell';
  /** Of the upsell beside it. */
  downsell: string | null;
}

/** Which offers lead on from one that was bought. */
export interface Ways {
  upsell: string | null;
  downsell: string | null;
}

/**
 * What a buyer is offered next. An offer that was bought leads to its upsell; one that is declined to the downsell that
 * stood beside it; a declined downsell, and a purchase that was begun and not paid, to nothing. What waits for an answer
 * is shown again. `offered`: oldest first. `waysOf`: of the offer that was bought last.
 */
export function nextOffer(offered: readonly Offered[], waysOf: Ways): NextOffer {
  const last = offered.at(-1);
  if (last?.answer === null) return { kind: 'open', id: last.id };
  if (last?.answer === 'taken' && !last.paid) return { kind: 'none' };
  const candidates =
    last === undefined || last.answer === 'taken' ? afterBought(waysOf) : afterDeclined(last);
  const known = new Set(offered.map(({ slug }) => slug));
  const left = candidates.filter(({ slug }) => !known.has(slug));
  return left.length === 0 ? { kind: 'none' } : { kind: 'new', candidates: left };
}

/** The downsell stands in for an upsell that the buyer cannot be shown. */
function afterBought({ upsell, downsell }: Ways): Candidate[] {
  return [
    ...(upsell === null ? [] : [{ slug: upsell, kind: 'upsell' as const, downsell }]),
    ...(downsell === null ? [] : [{ slug: downsell, kind: 'downsell' as const, downsell: null }]),
  ];
}

function afterDeclined({ kind, downsell }: Offered): Candidate[] {
  if (kind === 'downsell' || downsell === null) return [];
  return [{ slug: downsell, kind: 'downsell', downsell: null }];
}
