import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { funnelProblems } from './funnel-problems.js';
import { bareSequence } from '../publish/sequence-definition.js';
import { allSteps } from '../schemas/step.schemas.js';
import { conditionProblems } from './condition-rules.js';
import { entryProblems } from './entry-rules.js';
import { eventProblems } from './event-rules.js';
import { loopProblems, type SequenceOutline } from './loop-rules.js';
import { namedArmProblems } from './named-arms.js';
import type { DefinitionProblem } from './rules.js';
import { saleProblems, soldProducts } from './sale-rules.js';
import { dateProblems } from './time-rules.js';

interface LintContext {
  now: Date;
  /** Sequences of other funnels. */
  others: readonly SequenceOutline[];
}

/** More steps than any honest funnel has; who comes before whom is not worked out for them. */
const MAX_STEPS = 1_000;

/** Everything that can be known about a funnel from its definition alone: errors and warnings. Pure. */
export function lintDefinition(
  definition: FunnelDefinition,
  { now, others }: LintContext,
): DefinitionProblem[] {
  const own = outlineOf(definition);
  const errors = funnelProblems(definition, own.definition);
  // Names that stand for two things or for nothing would give answers that are wrong in turn.
  if (errors.some(({ rule }) => rule === 'duplicate-key')) return errors;
  const places = new Map(allSteps(definition.sequence.steps).map(({ step, path }) => [step.key, path]));
  const sold = soldProducts(definition);
  const isSmall = own.definition.nodes.length <= MAX_STEPS;
  return [
    ...errors,
    ...loopProblems(own, others, places),
    ...entryProblems(definition, own.definition, others),
    ...namedArmProblems(definition, others),
    ...dateProblems(own.definition, places, now),
    ...(isSmall ? conditionProblems(definition, own.definition, sold) : []),
    ...(isSmall ? eventProblems(definition, own.definition) : []),
    ...saleProblems(definition, sold),
  ];
}

/** A funnel's sequence, as other funnels see it. */
export function outlineOf(definition: FunnelDefinition): SequenceOutline {
  return { key: definition.funnel, definition: bareSequence(definition) };
}
