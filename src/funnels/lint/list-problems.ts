import { branchesIn, triggersIn } from './questions.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { among, type DefinitionProblem } from './rules.js';

/** Lists that are asked for and not there. They may be made later: a funnel file has none of its own. */
export function listProblems(definition: FunnelDefinition, known: ReadonlySet<string>): DefinitionProblem[] {
  return [...triggersIn(definition), ...branchesIn(definition)].flatMap(({ question, path }) => {
    const name = 'list' in question ? 'list' : 'unlisted' in question ? 'unlisted' : null;
    if (name === null) return [];
    const key = String(Reflect.get(question, name));
    if (known.has(key)) return [];
    const message = `there is no list "${key}" yet${among([...known])}; make it by POST /api/v1/lists, or correct the name`;
    return [{ rule: 'list-to-come' as const, path: [...path, name], message }];
  });
}
