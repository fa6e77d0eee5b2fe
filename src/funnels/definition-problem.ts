/** One thing that is wrong with a funnel, at the place in its definition. */
export interface DefinitionProblem {
  path: readonly PropertyKey[];
  message: string;
}
