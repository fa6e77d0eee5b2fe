import type { Condition } from './condition.js';

/** The same conditions where the tag has another name. */
export function withTagRenamed(condition: Condition, from: string, to: string): Condition {
  const renamed = (one: Condition): Condition => withTagRenamed(one, from, to);
  if ('all' in condition) return { all: condition.all.map(renamed) };
  if ('any' in condition) return { any: condition.any.map(renamed) };
  if ('not' in condition) return { not: renamed(condition.not) };
  return 'tag' in condition && condition.tag === from ? { tag: to } : condition;
}
