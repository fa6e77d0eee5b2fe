import {
  isAsking,
  waysOut,
  type SequenceDefinition,
  type SequenceNode,
} from '../../sequences/steps/definition.js';
import { branchesIn } from './questions.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import type { DefinitionProblem } from './rules.js';

/** Outcomes that conditions ask for and that the step does not have: they would never hold. */
export function outcomeProblems(
  definition: FunnelDefinition,
  { nodes }: SequenceDefinition,
): DefinitionProblem[] {
  const byKey = new Map(nodes.map((node) => [node.key, node]));
  return branchesIn(definition).flatMap(({ question, path }): DefinitionProblem[] => {
    const asked = 'step' in question ? byKey.get(question.step) : undefined;
    if (!('step' in question) || asked === undefined) return [];
    const possible = outcomesOf(asked);
    if (possible.includes(question.was)) return [];
    const message = `"${question.step}" is never "${question.was}"; ask ${possible.join(', ')}`;
    return [{ rule: 'unknown-outcome', path: [...path, 'was'], message }];
  });
}

/** Where nobody waits, nothing has come since they came to the step. */
export function sinceProblems(definition: FunnelDefinition): DefinitionProblem[] {
  return branchesIn(definition).flatMap(({ question, path, waits }): DefinitionProblem[] => {
    if (!('event' in question) || question.since !== 'step' || waits) return [];
    const message = 'nobody waits here; say within, how long to wait for the event, or since: sequence';
    return [{ rule: 'wrong-value', path: [...path, 'since'], message }];
  });
}

/** For which arm of a split somebody was drawn is asked by `split`. */
function outcomesOf(node: SequenceNode): string[] {
  const own = isAsking(node) && node.kind !== 'split' ? waysOut(node).map(({ outcome }) => outcome) : [];
  return ['ran', 'skipped', ...own];
}
