import type { Condition } from '../segments/condition.js';
import { segmentCondition, type Audience } from './audience.js';

/**
 * The lists that a broadcast is for: whoever is in its audience is on one list of each group, so who has left all lists of a
 * group gets it no more. None where people may be in it for something else as well: they get it for that.
 */
export function listsOf(audience: Audience, segments: Readonly<Record<string, Condition>>): string[][] {
  const condition = segmentCondition(audience, segments);
  return condition === null ? [] : groupsOf(condition);
}

function groupsOf(condition: Condition): string[][] {
  if ('list' in condition) return [[condition.list]];
  if ('all' in condition) return condition.all.flatMap(groupsOf);
  if (!('any' in condition)) return [];
  const ways = condition.any.map(groupsOf);
  if (ways.length === 1) return ways[0] ?? [];
  return ways.every((way) => way.length > 0) ? [[...new Set(ways.flatMap(([first = []]) => first))]] : [];
}
