import { domainSql } from '../values/email-address.js';
import {
  checkFieldValue,
  type COLUMN_KEYS,
  type FieldDefinition,
  type FieldType,
} from '../subscribers/field.js';
import { type Condition, type FieldCondition, type FieldOperator, leavesOf } from './condition.js';

/** The only columns a condition may name; own fields cannot have these keys. */
export const COLUMNS: Readonly<Record<ColumnField, string>> = {
  email: 's.email_key',
  emailDomain: domainSql('s.email_key'),
  name: 's.name',
  timeZone: 's.time_zone',
  locale: 's.locale',
};
type ColumnField = (typeof COLUMN_KEYS)[number];

export const OPERATORS_OF_TYPE: Readonly<Record<FieldType, readonly FieldOperator['op'][]>> = {
  text: ['is', 'isNot', 'oneOf', 'contains', 'startsWith', 'isSet'],
  choice: ['is', 'isNot', 'oneOf', 'isSet'],
  number: ['is', 'isNot', 'atLeast', 'atMost', 'above', 'below', 'isSet'],
  boolean: ['is', 'isSet'],
  date: ['is', 'isNot', 'before', 'after', 'withinDays', 'inNextDays', 'isSet'],
};

export interface ConditionProblem {
  /** Place in the tree, such as `all.0`. */
  path: string;
  message: string;
  allowed: string | string[];
}

export function isColumn(field: string): field is ColumnField {
  return Object.hasOwn(COLUMNS, field);
}

/** What is wrong with the fields that the conditions name: unknown ones, operators and values that do not fit the type. */
export function fieldProblemsOf(
  condition: Condition,
  definitions: ReadonlyMap<string, FieldDefinition>,
): ConditionProblem[] {
  return leavesOf(condition).flatMap(({ leaf, path }): ConditionProblem[] => {
    if (!('field' in leaf)) return [];
    const definition = isColumn(leaf.field) ? null : definitions.get(leaf.field);
    if (definition === undefined) {
      const allowed = [...Object.keys(COLUMNS), ...definitions.keys()];
      return [{ path, message: `there is no field "${leaf.field}"`, allowed }];
    }
    const type = definition?.type ?? 'text';
    const allowed = OPERATORS_OF_TYPE[type];
    if (!allowed.includes(leaf.op))
      return [
        { path, message: `a field of type ${type} cannot be asked "${leaf.op}"`, allowed: [...allowed] },
      ];
    const wrong = wrongValue(leaf, definition ?? TEXT);
    return wrong === null ? [] : [{ path, message: `value must be ${wrong}`, allowed: wrong }];
  });
}

const TEXT: FieldDefinition = { key: '', label: '', type: 'text', choices: [] };

function wrongValue(leaf: FieldCondition, definition: FieldDefinition): string | null {
  const values =
    leaf.op === 'oneOf' ? leaf.value : leaf.op === 'is' || leaf.op === 'isNot' ? [leaf.value] : [];
  for (const value of values) {
    const checked = checkFieldValue(definition, value);
    if (!checked.ok) return checked.allowed;
  }
  return null;
}
