import { checkFieldValue, type FieldDefinition } from '../subscribers/field.js';
import type { FunnelDefinition } from './funnel.schemas.js';
import type { DefinitionProblem } from './lint/rules.js';
import { allSteps } from './step.schemas.js';

/** Values that a step would set although the field, as its owner defined it, cannot hold them. */
export function setProblems(
  { sequence }: FunnelDefinition,
  definitions: ReadonlyMap<string, FieldDefinition>,
): DefinitionProblem[] {
  return allSteps(sequence.steps).flatMap(({ step, path }) => {
    if (!('set' in step)) return [];
    return Object.entries(step.set).flatMap(([key, value]): DefinitionProblem[] => {
      const definition = definitions.get(key);
      if (definition === undefined || value === null) return [];
      const checked = checkFieldValue(definition, value);
      if (checked.ok) return [];
      const message = `the field ${key} takes ${checked.allowed}`;
      return [{ rule: 'wrong-value', path: [...path, 'set', key], message }];
    });
  });
}
