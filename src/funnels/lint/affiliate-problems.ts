import { AFFILIATE_WORDS } from '../../sequences/steps/condition.js';
import { branchesIn, triggersIn } from './questions.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import type { DefinitionProblem } from './rules.js';

interface Asked {
  code: string;
  path: readonly PropertyKey[];
}

/** The codes of affiliates that the funnel asks for, with their places. */
export function affiliatesAsked(definition: FunnelDefinition): Asked[] {
  return [...triggersIn(definition), ...branchesIn(definition)].flatMap(({ question, path }) =>
    'affiliate' in question && !AFFILIATE_WORDS.some((word) => word === question.affiliate)
      ? [{ code: question.affiliate, path: [...path, 'affiliate'] }]
      : [],
  );
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
