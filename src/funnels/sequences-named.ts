import type { FunnelDefinition } from './funnel.schemas.js';
import type { DefinitionProblem } from './lint/rules.js';
import { movesOf } from './step.schemas.js';

/** Another sequence that a funnel names, and where. */
export interface NamedSequence {
  key: string;
  path: readonly PropertyKey[];
  /** Its mails begin this one: nothing happens before it is there. Else people are sent there. */
  isEntry: boolean;
}

/** The other sequences that the funnel moves people to, and those whose mails bring people into its own. */
export function sequencesNamed({ funnel, sequence }: FunnelDefinition): NamedSequence[] {
  const moves = movesOf(sequence.steps).map(({ to, path }) => ({ key: to, path, isEntry: false }));
  const entries = (sequence.enterOn ?? []).flatMap(({ sequence: key }, index): NamedSequence[] =>
    key === undefined ? [] : [{ key, path: ['sequence', 'enterOn', index, 'sequence'], isEntry: true }],
  );
  return [...moves, ...entries].filter(({ key }) => key !== funnel);
}

/** Those that are not among `keys`; `missing` says so where no file or table has it. */
export function lostSequences(
  definition: FunnelDefinition,
  keys: readonly string[],
  missing: (named: NamedSequence) => DefinitionProblem,
): DefinitionProblem[] {
  return sequencesNamed(definition)
    .filter(({ key }) => !keys.includes(key))
    .map(missing);
}
