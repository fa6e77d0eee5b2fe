import { HOLDOUT } from '../../segments/held-out.js';
import { testAt } from '../../sequences/steps/definition.js';
import { askedBy } from './questions.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { allSteps } from '../schemas/step.schemas.js';
import type { SequenceOutline } from './loop-rules.js';
import { among, type DefinitionProblem } from './rules.js';

/** Arms of split tests of other sequences that are asked about and are not there. */
export function namedArmProblems(
  { funnel, sequence }: FunnelDefinition,
  others: readonly SequenceOutline[],
): DefinitionProblem[] {
  return allSteps(sequence.steps).flatMap(({ step, path: at }) =>
    askedBy(step).flatMap(({ question, path: below }): DefinitionProblem[] => {
      if (!('split' in question) || (question.sequence ?? funnel) === funnel) return [];
      const path = [...at, ...below];
      const nodes = others.find(({ key }) => key === question.sequence)?.definition.nodes;
      if (nodes === undefined) return [];
      const tests = nodes.flatMap((node) => {
        const terms = testAt(node)?.terms;
        return terms === undefined ? [] : [{ key: node.key, terms }];
      });
      const test = tests.find(({ key }) => key === question.split);
      if (test === undefined) {
        const message = `"${question.split}" is not a step with a split test in the sequence "${question.sequence}"${among(tests.map(({ key }) => key))}`;
        return [{ rule: 'unknown-step', path: [...path, 'split'], message }];
      }
      const { arms, holdoutBps } = test.terms;
      const names = [...arms.map(({ key }) => key), ...(holdoutBps > 0 ? [HOLDOUT] : [])];
      if (names.includes(question.arm)) return [];
      const message = `the split test "${question.split}" of "${question.sequence}" has no arm "${question.arm}"${among(names)}`;
      return [{ rule: 'unknown-arm', path: [...path, 'arm'], message }];
    }),
  );
}
