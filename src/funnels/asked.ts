import { questionsIn, type FunnelCondition } from './condition.schemas.js';
import type { FunnelStep } from './step.schemas.js';

/** The questions that a branch or switch asks, with their places below the step. */
export function askedBy(step: FunnelStep): { question: FunnelCondition; path: readonly PropertyKey[] }[] {
  if ('if' in step) return questionsIn(step.if, ['if']);
  if (!('switch' in step)) return [];
  return step.switch.flatMap(({ if: given }, index) => questionsIn(given, ['switch', index, 'if']));
}
