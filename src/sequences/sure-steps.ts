import { isAsking, isMail, waysOut, type SequenceNode } from './definition.js';
import type { PreparedSequence } from './prepared.js';

/**
 * Whether whoever is at `from` comes to one of the steps, whichever arm of a split test they get and whatever the branches
 * say, unless they leave before. `had`: steps that do not come again; who has had one goes on as they did then. Looks at
 * each step once.
 */
export function isSureOfOne(
  { nodes }: PreparedSequence,
  from: string | null,
  { had, steps }: { had: Readonly<Record<string, string>> | null; steps: ReadonlySet<string> },
): boolean {
  const known = new Map<string, boolean>();
  const isSure = (key: string | null): boolean => {
    const node = key === null ? undefined : nodes.get(key);
    if (!node) return false;
    const before = known.get(node.key);
    if (before !== undefined) return before;
    known.set(node.key, false);
    const outcome = had?.[node.key];
    const isNext = outcome === undefined && steps.has(node.key) && !mayBePassedOver(node);
    const answer = isNext || waysOn(node, outcome).every(isSure);
    known.set(node.key, answer);
    return answer;
  };
  return isSure(from);
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
