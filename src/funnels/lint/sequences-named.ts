import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import type { DefinitionProblem } from './rules.js';
import { askedBy } from './questions.js';
import { allSteps, movesOf } from '../schemas/step.schemas.js';

/** Another sequence that a funnel names, and where. */
interface NamedSequence {
  key: string;
  path: readonly PropertyKey[];
  /** Its mails begin this one, or its split tests are asked about: nothing happens before it is there. Else people are sent there. */
  isListenedTo: boolean;
}

/** The other sequences that the funnel moves people to, whose mails bring people into its own, and whose arms it asks about. */
export function sequencesNamed({ funnel, sequence }: FunnelDefinition): NamedSequence[] {
  const moves = movesOf(sequence.steps).map(({ to, path }) => ({ key: to, path, isListenedTo: false }));
  const entries = (sequence.enterOn ?? []).flatMap(({ sequence: key }, index): NamedSequence[] =>
    key === undefined ? [] : [{ key, path: ['sequence', 'enterOn', index, 'sequence'], isListenedTo: true }],
  );
  const arms = allSteps(sequence.steps).flatMap(({ step, path }) =>
    askedBy(step).flatMap(({ question, path: below }): NamedSequence[] =>
      'split' in question && question.sequence !== undefined
        ? [{ key: question.sequence, path: [...path, ...below, 'sequence'], isListenedTo: true }]
        : [],
    ),
  );
  return [...moves, ...entries, ...arms].filter(({ key }) => key !== funnel);
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
