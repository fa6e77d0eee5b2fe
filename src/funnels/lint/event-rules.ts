import type { SequenceDefinition } from '../../sequences/definition.js';
import { askedBy, waitsAt } from '../asked.js';
import type { FunnelDefinition } from '../funnel.schemas.js';
import { allSteps } from '../step.schemas.js';
import { laterSteps } from './condition-rules.js';
import type { DefinitionProblem } from './rules.js';

/** Waits for an event that a wait before them may have been for: the same event would end both. */
export function eventProblems(
  definition: FunnelDefinition,
  compiled: SequenceDefinition,
): DefinitionProblem[] {
  const waits = allSteps(definition.sequence.steps).flatMap(({ step, path }) => {
    if (!waitsAt(step)) return [];
    return askedBy(step).flatMap(({ question, path: below }) =>
      'event' in question ? [{ ...question, step: step.key, path: [...path, ...below, 'event'] }] : [],
    );
  });
  if (waits.length < 2) return [];
  const later = laterSteps(compiled);
  return waits.flatMap(({ event, since, step, path }): DefinitionProblem[] => {
    if (since !== undefined) return [];
    const before = waits.find((one) => one.event === event && later.get(one.step)?.has(step) === true);
    if (before === undefined) return [];
    const message = `the "${event}" that ends the wait at "${before.step}" ends this one at once, too; say since: step to wait for a new one, or since: sequence if that is meant`;
    return [{ rule: 'event-of-before', path, message }];
  });
}
