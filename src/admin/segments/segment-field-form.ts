import type { FieldCondition } from '../../segments/condition.js';
import { OPERATORS_OF_TYPE } from '../../segments/segment-fields.js';
import { type FieldDefinition, type FieldType, readFieldText } from '../../subscribers/field.js';
import { namesIn, namesText } from '../../values/name-list.js';
import type { Choice } from './segment-leaves.js';
import { OPERATOR_WORDS } from './segment-words.js';

type Operator = FieldCondition['op'];

/** How a value is typed: with what the field is compared, not what it holds. */
export type ValueKind = 'none' | 'text' | 'names' | 'number' | 'days' | 'date' | 'boolean' | 'choice';

const NUMBERS: ReadonlySet<string> = new Set([
  'atLeast',
  'atMost',
  'above',
  'below',
  'withinDays',
  'inNextDays',
]);

/** Columns, and what is not defined, are texts. */
function typeOfField(definition: FieldDefinition | undefined): FieldType {
  return definition?.type ?? 'text';
}

export function operatorsOf(definition: FieldDefinition | undefined): Choice[] {
  return OPERATORS_OF_TYPE[typeOfField(definition)].map((op) => ({ value: op, label: OPERATOR_WORDS[op] }));
}

export function valueKindOf(op: string, definition: FieldDefinition | undefined): ValueKind {
  if (op === 'isSet') return 'none';
  if (op === 'oneOf') return 'names';
  if (op === 'withinDays' || op === 'inNextDays') return 'days';
  if (NUMBERS.has(op)) return 'number';
  if (op === 'before' || op === 'after') return 'date';
  return op === 'contains' || op === 'startsWith' ? 'text' : typeOfField(definition);
}

export function valuesOfField(condition: FieldCondition): Record<string, string> {
  const { field, op } = condition;
  if (op === 'isSet') return { field, op, value: '' };
  return { field, op, value: op === 'oneOf' ? namesText(condition.value) : String(condition.value) };
}

/** What was typed as the field has it; what does not fit is passed on, for the check to name. */
export function fieldLeafOf(
  { field = '', op = '', value = '' }: Record<string, string>,
  definitions: ReadonlyMap<string, FieldDefinition>,
): object {
  const definition = definitions.get(field);
  const operators = OPERATORS_OF_TYPE[typeOfField(definition)];
  // Another field was chosen, whose type has no such comparison: the first one it has, as the form shows it.
  const asked: Operator = operators.find((one) => one === op) ?? operators[0] ?? 'is';
  if (asked === 'isSet') return { field, op: asked };
  if (asked === 'oneOf') return { field, op: asked, value: namesIn(value) };
  if (NUMBERS.has(asked)) return { field, op: asked, value: value === '' ? Number.NaN : Number(value) };
  if (definition && (asked === 'is' || asked === 'isNot')) {
    const read = readFieldText(definition, value);
    if (read.ok) return { field, op: asked, value: read.value };
  }
  return { field, op: asked, value };
}
