import { questionsIn, type FunnelCondition } from '../schemas/condition.schemas.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { allSteps, type FunnelStep } from '../schemas/step.schemas.js';

/** A question with its place. */
export interface Question {
  question: FunnelCondition;
  path: readonly PropertyKey[];
}

/** The questions that a branch or switch asks, with their places below the step. */
export function askedBy(step: FunnelStep): Question[] {
  if ('if' in step) return questionsIn(step.if, ['if']);
  if (!('switch' in step)) return [];
  return step.switch.flatMap(({ if: given }, index) => questionsIn(given, ['switch', index, 'if']));
}

/** Whether people wait at a branch for what it asks. */
export function waitsAt(step: FunnelStep): boolean {
  return ('if' in step ? step.if.within : 'switch' in step ? step.within : undefined) !== undefined;
}

/** What begins or ends the sequence or leads to a goal, with its place in the file. */
export function triggersIn({ sequence }: FunnelDefinition): Question[] {
  const outside = (['enterOn', 'exitOn'] as const).flatMap((name) =>
    (sequence[name] ?? []).map((question, index) => ({ question, path: ['sequence', name, index] })),
  );
  const goals = allSteps(sequence.steps).flatMap(({ step, path }): Question[] => {
    if (!('goal' in step)) return [];
    return Array.isArray(step.goal)
      ? step.goal.map((question, index) => ({ question, path: [...path, 'goal', index] }))
      : [{ question: step.goal, path: [...path, 'goal'] }];
  });
  return [...outside, ...goals];
}

/** What branches ask, with its place in the file, and whether people wait for it. */
export function branchesIn({ sequence }: FunnelDefinition): (Question & { waits: boolean })[] {
  return allSteps(sequence.steps).flatMap(({ step, path }) => {
    const waits = waitsAt(step);
    return askedBy(step).map(({ question, path: below }) => ({ question, path: [...path, ...below], waits }));
  });
}
