import { waysOut, type SequenceDefinition } from '../../sequences/steps/definition.js';
import { askedBy, waitsAt } from './questions.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { allSteps } from '../schemas/step.schemas.js';
import { laterSteps } from './condition-rules.js';
import type { DefinitionProblem } from './rules.js';

/** Waits for an event that a wait before them may have been for: the same event would end both. */
export function eventProblems(
  definition: FunnelDefinition,
  compiled: SequenceDefinition,
): DefinitionProblem[] {
  const waits = allSteps(definition.sequence.steps).flatMap(({ step, path }) => {
    if (!waitsAt(step)) return [];
    return askedBy(step).flatMap(({ question, path: below }) => {
      if (!('event' in question)) return [];
      const isEnough = !below.includes('all') && !below.includes('not');
      return [{ ...question, step: step.key, isEnough, path: [...path, ...below, 'event'] }];
    });
  });
  if (waits.length < 2) return [];
  const nodes = new Map(compiled.nodes.map((node) => [node.key, node]));
  const later = laterSteps(compiled);
  /** Who goes by `else` when the event is enough has not had it, and goes on without. */
  const leads = ({ step, isEnough }: { step: string; isEnough: boolean }, to: string): boolean => {
    const node = nodes.get(step);
    const ways = node === undefined ? [] : waysOut(node);
    return ways.some(
      (way) =>
        way.to !== null &&
        !(isEnough && way.outcome === 'else') &&
        (way.to === to || later.get(way.to)?.has(to) === true),
    );
  };
  return waits.flatMap(({ event, since, step, path }): DefinitionProblem[] => {
    if (since !== undefined) return [];
    const before = waits.find((one) => one.event === event && leads(one, step));
    if (before === undefined) return [];
    const message = `the "${event}" that ends the wait at "${before.step}" ends this one at once, too; say since: step to wait for a new one, or since: sequence if that is meant`;
    return [{ rule: 'event-of-before', path, message }];
  });
}
