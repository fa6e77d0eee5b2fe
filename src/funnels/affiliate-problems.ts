import { AFFILIATE_WORDS } from '../sequences/condition.js';
import { questionsIn, type FunnelCondition } from './condition.schemas.js';
import type { FunnelDefinition } from './funnel.schemas.js';
import type { DefinitionProblem } from './lint/rules.js';
import { allSteps } from './step.schemas.js';

interface Asked {
  code: string;
  path: readonly PropertyKey[];
}

/** The codes of affiliates that the funnel asks for, with their places. */
export function affiliatesAsked({ sequence }: FunnelDefinition): Asked[] {
  const asked = (given: FunnelCondition, path: readonly PropertyKey[]): Asked[] =>
    questionsIn(given, path).flatMap(({ question, path: place }) =>
      'affiliate' in question && !AFFILIATE_WORDS.some((word) => word === question.affiliate)
        ? [{ code: question.affiliate, path: [...place, 'affiliate'] }]
        : [],
    );
  const triggers = (['enterOn', 'exitOn'] as const).flatMap((name) =>
    (sequence[name] ?? []).flatMap((trigger, index) => asked(trigger, ['sequence', name, index])),
  );
  const steps = allSteps(sequence.steps).flatMap(({ step, path }): Asked[] => {
    if ('if' in step) return asked(step.if, [...path, 'if']);
    if ('switch' in step)
      return step.switch.flatMap(({ if: one }, index) => asked(one, [...path, 'switch', index, 'if']));
    if (!('goal' in step)) return [];
    return Array.isArray(step.goal)
      ? step.goal.flatMap((one, index) => asked(one, [...path, 'goal', index]))
      : asked(step.goal, [...path, 'goal']);
  });
  return [...triggers, ...steps];
}

/**
 * Codes that belong to nobody: the step would go one way for everybody, and say nothing. Where there is no affiliate at all,
 * as in a new database to which funnels are moved, they come later, and nothing tells a wrong code from a right one.
 */
export function affiliateProblems(
  asked: readonly Asked[],
  { known, isAnyThere }: { known: ReadonlySet<string>; isAnyThere: boolean },
): DefinitionProblem[] {
  return asked
    .filter(({ code }) => !known.has(code))
    .map(({ code, path }) => ({
      rule: isAnyThere ? 'unknown-affiliate' : 'affiliate-to-come',
      path,
      message: isAnyThere
        ? `no affiliate has the code "${code}"; correct it, or add the affiliate first`
        : `there is no affiliate yet, and so none with the code "${code}"; nobody comes by their link before they are added`,
    }));
}
