import { FIELD_DAYS, FIELD_OPERATORS, type FieldOperator } from '../../sequences/steps/condition.js';
import { isColumn } from '../../segments/segment-fields.js';
import { checkFieldValue, type FieldDefinition, type FieldType } from '../../subscribers/field.js';
import { nearest } from '../../values/nearest.js';
import { branchesIn, triggersIn } from './questions.js';
import type { FunnelCondition } from '../schemas/condition.schemas.js';
import { fieldDefinitionsOf } from '../schemas/field.schemas.js';
import { askedKey, type FunnelDefinition } from '../schemas/funnel.schemas.js';
import { among, type DefinitionProblem } from './rules.js';
import { allSteps } from '../schemas/step.schemas.js';

/** Which fields there are beside those that the funnel itself defines or fills. */
interface KnownFields {
  /** As they are in the database, and as funnels that are applied with this one define them. */
  definitions: ReadonlyMap<string, FieldDefinition>;
  /** What steps of other funnels fill. */
  filled: readonly string[];
  /** It is a version of then, which cannot be written otherwise. */
  isStored?: boolean;
}

type Path = readonly PropertyKey[];

/** What a field of each type may be asked; a text of its own for what people would have tried. */
const ALLOWED: Readonly<Record<FieldType, readonly FieldOperator[]>> = {
  text: ['is', 'isNot', 'oneOf', 'contains', 'startsWith', 'exists'],
  choice: ['is', 'isNot', 'oneOf', 'exists'],
  number: ['is', 'isNot', 'over', 'under', 'atLeast', 'atMost', 'exists'],
  boolean: ['is', 'isNot', 'exists'],
  date: ['is', 'isNot', 'before', 'after', 'withinDays', 'inNextDays', 'exists'],
};

const COLUMN: FieldDefinition = { key: '', label: '', type: 'text', choices: [] };

/** Fields that nobody has defined or fills, and what a field of its type cannot be asked or hold. */
export function ownFieldProblems(definition: FunnelDefinition, known: KnownFields): DefinitionProblem[] {
  const own = fieldDefinitionsOf(definition.fields);
  const definitions = new Map(known.definitions);
  for (const field of own)
    definitions.set(field.key, {
      ...field,
      choices: [...(known.definitions.get(field.key)?.choices ?? []), ...field.choices],
    });
  const filled = new Set([...known.filled, ...fieldsFilled(definition)]);
  const unknown = (field: string, path: Path): DefinitionProblem[] =>
    definitions.has(field) || filled.has(field)
      ? []
      : [unknownField(field, path, [...definitions.keys(), ...filled])];
  const asked = (question: FunnelCondition, path: Path): DefinitionProblem[] => {
    if (!('field' in question)) return [];
    const field = isColumn(question.field) ? COLUMN : definitions.get(question.field);
    return field === undefined
      ? unknown(question.field, [...path, 'field'])
      : askedProblems(question, field, path);
  };
  return [
    ...definedOtherwise(own, known.definitions),
    ...(known.isStored ? [] : writtenOtherwise(own, known.definitions)),
    ...askedByForm(definition, definitions),
    ...triggersIn(definition).flatMap(({ question, path }) => [
      ...asked(question, path),
      ...silentProblems(question, path, 'begins or ends a sequence or leads to a goal'),
    ]),
    ...branchesIn(definition).flatMap(({ question, path, waits }) => [
      ...asked(question, path),
      ...(waits ? silentProblems(question, path, 'is waited for') : []),
    ]),
    ...allSteps(definition.sequence.steps).flatMap(({ step, path }) => {
      if ('set' in step) return setProblems(step.set, [...path, 'set'], definitions);
      const until = 'until' in step ? step.until : undefined;
      if (typeof until !== 'object' || !('field' in until)) return [];
      const here = [...path, 'until', 'field'];
      const type = definitions.get(until.field)?.type;
      if (type === undefined) return unknown(until.field, here);
      return type === 'date' || type === 'text' ? [] : [noDate(until.field, type, here)];
    }),
  ];
}

/** As `ownFieldProblems`, without a database: a field may be defined there. */
export function fieldProblemsInFiles(
  definition: FunnelDefinition,
  others: readonly FunnelDefinition[],
): DefinitionProblem[] {
  const fields = others.flatMap((other) => fieldDefinitionsOf(other.fields));
  const known: KnownFields = {
    definitions: new Map(fields.map((field) => [field.key, field])),
    filled: others.flatMap(fieldsFilled),
  };
  return ownFieldProblems(definition, known).map(elsewhere);
}

/** As a warning: of a field that may be defined elsewhere, or that a version of then could do without. */
export function elsewhere(problem: DefinitionProblem): DefinitionProblem {
  return problem.rule === 'unknown-field' ? { ...problem, rule: 'field-elsewhere' } : problem;
}

/** The fields that steps of the funnel fill. */
export function fieldsFilled({ sequence }: FunnelDefinition): string[] {
  return allSteps(sequence.steps).flatMap(({ step }) => ('set' in step ? Object.keys(step.set) : []));
}

function unknownField(field: string, path: Path, names: readonly string[]): DefinitionProblem {
  const meant = nearest(field, names);
  const hint = meant === null ? among([...new Set(names)]) : `; did you mean "${meant}"?`;
  const message = `there is no field "${field}"${hint} A new one is defined in this file, fields: { ${field}: text }, or by POST /api/v1/fields`;
  return {
    rule: 'unknown-field',
    path,
    message: meant === null ? message.replace(' A new', '. A new') : message,
  };
}

function noDate(field: string, type: FieldType, path: Path): DefinitionProblem {
  return { rule: 'wrong-value', path, message: `the field ${field} is of type ${type} and holds no date` };
}

function askedProblems(
  question: Extract<FunnelCondition, { field: string }>,
  definition: FieldDefinition,
  path: Path,
): DefinitionProblem[] {
  const op = FIELD_OPERATORS.find((name) => question[name] !== undefined);
  if (op === undefined) return [];
  const allowed = ALLOWED[definition.type];
  const here = [...path, op];
  if (!allowed.includes(op)) {
    const message = `the field ${question.field} is of type ${definition.type}; ask it ${allowed.join(', ')}`;
    return [{ rule: 'wrong-value', path: here, message }];
  }
  const given = question[op];
  const values =
    op === 'oneOf' && Array.isArray(given) ? given : op === 'is' || op === 'isNot' ? [given] : [];
  for (const value of values) {
    const checked = checkFieldValue(definition, value);
    if (!checked.ok)
      return [
        { rule: 'wrong-value', path: here, message: `the field ${question.field} takes ${checked.allowed}` },
      ];
  }
  return [];
}

/** What no change of a field tells: that days pass, and what else is known of every subscriber. */
function silentProblems(question: FunnelCondition, path: Path, what: string): DefinitionProblem[] {
  if (!('field' in question)) return [];
  const days = FIELD_DAYS.find((name) => question[name] !== undefined);
  if (days === undefined && !isColumn(question.field)) return [];
  const message =
    days === undefined
      ? `a change of ${question.field} tells sequences nothing, so it is not what ${what}; ask for it in an if without within`
      : `days pass without anybody telling, so ${days} is not what ${what}; ask for it in an if without within, or wait with until: { field: ${question.field} }`;
  return [{ rule: 'wrong-value', path: [...path, days ?? 'field'], message }];
}

/** Values that a step would set although the field cannot hold them. */
function setProblems(
  set: Readonly<Record<string, unknown>>,
  path: Path,
  definitions: ReadonlyMap<string, FieldDefinition>,
): DefinitionProblem[] {
  return Object.entries(set).flatMap(([key, value]): DefinitionProblem[] => {
    // No condition would ever see it: they ask the person's own.
    if (isColumn(key))
      return [
        {
          rule: 'wrong-value',
          path: [...path, key],
          message: `${key} is the person's own, and no field to set`,
        },
      ];
    const definition = definitions.get(key);
    if (definition === undefined || value === null) return [];
    const checked = checkFieldValue(definition, value);
    if (checked.ok) return [];
    return [
      { rule: 'wrong-value', path: [...path, key], message: `the field ${key} takes ${checked.allowed}` },
    ];
  });
}

/** A form cannot read a field without a type. */
function askedByForm(
  { form }: FunnelDefinition,
  definitions: ReadonlyMap<string, FieldDefinition>,
): DefinitionProblem[] {
  return (form.fields ?? []).flatMap((asked, at): DefinitionProblem[] => {
    const field = askedKey(asked);
    const path = ['form', 'fields', at, ...(typeof asked === 'string' ? [] : ['field'])];
    if (isColumn(field)) {
      const message = `${field} is the person's own, and no field to ask for; a form asks for address and name by itself`;
      return [{ rule: 'wrong-value', path, message }];
    }
    return definitions.has(field) ? [] : [unknownField(field, path, [...definitions.keys()])];
  });
}

/** The type of a field stays: the values that people have were checked by it. */
function definedOtherwise(
  own: readonly FieldDefinition[],
  known: ReadonlyMap<string, FieldDefinition>,
): DefinitionProblem[] {
  return own.flatMap(({ key, type }): DefinitionProblem[] => {
    const there = known.get(key);
    if (there === undefined || there.type === type) return [];
    const message = `the field ${key} is there already, of type ${there.type}; use that type, or another name`;
    return [{ rule: 'wrong-value', path: ['fields', key], message }];
  });
}

/** Choices that are there already but for their case: both would be in the field, and no file may name them both. */
function writtenOtherwise(
  own: readonly FieldDefinition[],
  known: ReadonlyMap<string, FieldDefinition>,
): DefinitionProblem[] {
  return own.flatMap(({ key, choices }) => {
    const there = known.get(key)?.choices ?? [];
    return choices.flatMap((choice, index): DefinitionProblem[] => {
      const twin = there.find((one) => one.toLowerCase() === choice.toLowerCase());
      if (twin === undefined || there.includes(choice)) return [];
      const message = `the field ${key} has the choice ${twin} already; write it so`;
      return [{ rule: 'wrong-value', path: ['fields', key, 'choices', index], message }];
    });
  });
}
