import type { FieldDefinition } from '../../subscribers/field.js';
import { branchesIn, triggersIn } from '../lint/questions.js';
import { ownFieldOf, type OwnFields } from '../schemas/field.schemas.js';
import { askedKey, type FunnelDefinition } from '../schemas/funnel.schemas.js';
import { allSteps } from '../schemas/step.schemas.js';

/** The definition with the fields it names that are defined elsewhere: so that a database that knows none takes the file. */
export function withFields(
  definition: FunnelDefinition,
  defined: ReadonlyMap<string, FieldDefinition>,
): FunnelDefinition {
  const own = definition.fields ?? {};
  const more = fieldsNamed(definition).flatMap((key): [string, OwnFields[string]][] => {
    const field = defined.get(key);
    return field === undefined || Object.hasOwn(own, key) ? [] : [[key, ownFieldOf(field)]];
  });
  if (more.length === 0) return definition;
  const { funnel, title, sender, fields: _, ...rest } = definition;
  return { funnel, title, sender, fields: { ...own, ...Object.fromEntries(more) }, ...rest };
}

/** Own fields that the funnel or its form asks for, that it waits by or fills, each once, in the order of their names. */
function fieldsNamed(definition: FunnelDefinition): string[] {
  const asked = [...triggersIn(definition), ...branchesIn(definition)].flatMap(({ question }) =>
    'field' in question ? [question.field] : [],
  );
  const steps = allSteps(definition.sequence.steps).flatMap(({ step }) => {
    if ('set' in step) return Object.keys(step.set);
    const until = 'until' in step ? step.until : undefined;
    return typeof until === 'object' && 'field' in until ? [until.field] : [];
  });
  const inForm = (definition.form.fields ?? []).map(askedKey);
  return [...new Set([...asked, ...steps, ...inForm])].toSorted();
}
