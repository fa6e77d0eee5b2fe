import { isAsking, waysOut, type SequenceNode } from './definition.js';

/** Steps that were behind a person in an earlier version, with their outcomes: they do not come again. */
export type Had = Readonly<Record<string, string>>;

/** The first step from `start` on that the person has not had. */
export function behindHad(
  nodes: ReadonlyMap<string, SequenceNode>,
  start: string | null,
  had: Had | null,
): string | null {
  let key = start;
  for (let met = 0; key !== null && met <= nodes.size; met++) {
    const outcome = had?.[key];
    const node = nodes.get(key);
    if (outcome === undefined || !node) return key;
    const ways = waysOut(node);
    const way = ways.find((one) => one.outcome === outcome) ?? (isAsking(node) ? undefined : ways[0]);
    if (way === undefined) return key;
    key = way.to;
  }
  return key;
}
