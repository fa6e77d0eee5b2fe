import { plannedShares } from '../../experiments/test-plan.js';
import { FULL_BPS } from '../../values/money.js';
import { isAsking, isMail, waysOut, type SequenceNode } from '../steps/definition.js';
import type { PreparedSequence } from '../steps/prepared.js';

/** `owned`: steps that are passed over by somebody for what they own; `had`: steps that do not come again. */
interface Wanted {
  had: Readonly<Record<string, string>> | null;
  steps: ReadonlySet<string>;
  owned: ReadonlySet<string>;
}

/**
 * Whether whoever is at `from` comes to one of the steps, whichever arm of a split test they get and whatever the branches
 * say, unless they leave before. Who has had a step goes on as they did then. Looks at each step once.
 */
export function isSureOfOne(
  { nodes }: PreparedSequence,
  from: string | null,
  { had, steps, owned }: Wanted,
): boolean {
  const known = new Map<string, boolean>();
  const isSure = (key: string | null): boolean => {
    const node = key === null ? undefined : nodes.get(key);
    if (!node) return false;
    const before = known.get(node.key);
    if (before !== undefined) return before;
    known.set(node.key, false);
    const outcome = had?.[node.key];
    const isNext =
      outcome === undefined && steps.has(node.key) && !owned.has(node.key) && !mayBePassedOver(node);
    const answer = isNext || waysOn(node, outcome).every(isSure);
    known.set(node.key, answer);
    return answer;
  };
  return isSure(from);
}

/**
 * The part of those at `from` who come to one of the steps, if they stay, where only split tests decide that, by the weights
 * of their arms; null where it hangs on something that nobody knows beforehand, such as the answer of a branch. Otherwise as
 * `isSureOfOne`.
 */
export function shareOfOne(
  { nodes }: PreparedSequence,
  from: string | null,
  { had, steps, owned }: Wanted,
): number | null {
  const known = new Map<string, number | null>();
  const shareAt = (key: string | null): number | null => {
    const node = key === null ? undefined : nodes.get(key);
    if (!node) return 0;
    const before = known.get(node.key);
    if (before !== undefined) return before;
    known.set(node.key, 0);
    const share = shareFrom(node);
    known.set(node.key, share);
    return share;
  };
  const shareFrom = (node: SequenceNode): number | null => {
    const outcome = had?.[node.key];
    const isNext = outcome === undefined && steps.has(node.key);
    if (isNext && owned.has(node.key)) return null;
    if (isNext && !mayBePassedOver(node)) return 1;
    const rest = waysOn(node, outcome).map(shareAt);
    if (isNext) return rest[0] === 1 ? 1 : gettingMail(node, rest[0] ?? null);
    const [first = null] = rest;
    if (rest.every((share) => share === first)) return first;
    return node.kind === 'split' ? weighed(node, rest) : null;
  };
  return shareAt(from);
}

/** Of those who come to a mail; null where dates decide. `behind`: of those who get none there. */
function gettingMail(node: SequenceNode, behind: number | null): number | null {
  if (!isMail(node) || node.expires !== undefined || node.untilField !== undefined || behind === null)
    return null;
  const heldOut = (node.split?.terms.holdoutBps ?? 0) / FULL_BPS;
  return 1 - heldOut + heldOut * behind;
}

/** `shares`: of each way out, in their order. */
function weighed(
  { split: { terms } }: Extract<SequenceNode, { kind: 'split' }>,
  shares: readonly (number | null)[],
): number | null {
  const heldOut = terms.holdoutBps / FULL_BPS;
  const weights = [...plannedShares(terms).map((share) => share * (1 - heldOut)), heldOut];
  let sum = 0;
  for (const [way, share] of shares.entries()) {
    if (share === null) return null;
    sum += share * (weights[way] ?? 0);
  }
  return sum;
}

/** The ways on from a step: the one that was taken, where it was had. */
function waysOn(node: SequenceNode, outcome: string | undefined): (string | null)[] {
  const ways = waysOut(node);
  const taken = outcome === undefined ? undefined : ways.find((way) => way.outcome === outcome);
  return (taken === undefined ? ways : [taken]).map(({ to }) => to);
}

/** A mail of which some get nothing: they are held out, have no date, or come when it has expired. */
function mayBePassedOver(node: SequenceNode): boolean {
  if (isAsking(node)) return false;
  if (node.expires !== undefined || node.untilField !== undefined) return true;
  return isMail(node) && node.split !== undefined && node.split.terms.holdoutBps > 0;
}
