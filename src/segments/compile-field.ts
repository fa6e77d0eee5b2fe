import type { FieldDefinition, FieldType } from '../subscribers/field.js';
import type { Context } from './compile-context.js';
import type { FieldCondition } from './condition.js';
import { dayFromToday, type OwnerClock } from './days.js';
import { COLUMNS, isColumn } from './segment-fields.js';

/** What a row of `subscriber s` tells of a column or an own field. Never null. */
export function compileField(condition: FieldCondition, context: Context): string {
  const { field } = condition;
  if (isColumn(field))
    return compileText(COLUMNS[field], isAddress(field) ? lowered(condition) : condition, context);
  const definition = context.definitions.get(field);
  if (!definition) throw new Error(`the field ${field} is not defined`);
  return compileOwn(definition, condition, context);
}

/** Addresses are known by their lower case. */
export function isAddress(field: string): boolean {
  return field === 'email' || field === 'emailDomain';
}

export function lowered(condition: FieldCondition): FieldCondition {
  const lower = (value: unknown): string => String(value).toLowerCase();
  if (condition.op === 'oneOf') return { ...condition, value: condition.value.map(lower) };
  if (condition.op === 'is' || condition.op === 'isNot')
    return { ...condition, value: lower(condition.value) };
  return condition;
}

/** What a value is in JSON. */
export const JSON_TYPES: Readonly<Record<FieldType, string>> = {
  text: 'string',
  choice: 'string',
  date: 'string',
  number: 'number',
  boolean: 'boolean',
};
/** As texts of PostgreSQL; dates in byte order are in the order of the calendar. */
const COMPARED = {
  atLeast: '>=',
  atMost: '<=',
  above: '>',
  below: '<',
  before: '<',
  after: '>',
} as const;

export const DATED = '^[0-9]{4}-[0-9]{2}-[0-9]{2}$';

/** The days from the first on or behind it, by the operator, and the last. Today is the last of the days before now. */
export function daysOf(
  { op, value }: { op: 'withinDays' | 'inNextDays'; value: number },
  clock: OwnerClock,
): [operator: '>=' | '>', from: string, until: string] {
  const day = (offset: number): string => dayFromToday(offset, clock);
  return op === 'withinDays' ? ['>=', day(-value), day(0)] : ['>', day(0), day(value)];
}

/** A value of another type than the field's, from before it was defined, counts as none. */
function compileOwn({ key, type }: FieldDefinition, condition: FieldCondition, context: Context): string {
  const { parameter } = context;
  const value = (): string => `s.fields->${parameter(key, 'text')}`;
  const ofType = (): string => `jsonb_typeof(${value()}) = '${JSON_TYPES[type]}'`;
  const dated = (operator: string, other: string): string =>
    `(s.fields->>${parameter(key, 'text')}) collate "C" ${operator} ${parameter(other, 'text')}`;
  const isDated = (): string => `(s.fields->>${parameter(key, 'text')}) ~ '${DATED}'`;
  const isSet = (): string => (type === 'date' ? `${ofType()} and ${isDated()}` : ofType());
  // Never null, and half the work of taking the value out.
  const equal = (other: unknown): string =>
    `s.fields @> ${parameter(JSON.stringify({ [key]: other }), 'jsonb')}`;
  switch (condition.op) {
    case 'is':
      return equal(condition.value);
    case 'isNot':
      return known(`${isSet()} and not ${equal(condition.value)}`);
    case 'isSet':
      return known(isSet());
    case 'oneOf':
      return known(
        `${value()} in (${condition.value.map((one) => parameter(JSON.stringify(one), 'jsonb')).join(', ')})`,
      );
    case 'atLeast':
    case 'atMost':
    case 'above':
    case 'below':
      return known(`s.fields @? ${parameter(numberPath(key, condition), 'jsonpath')}`);
    case 'before':
    case 'after':
      return known(`${isDated()} and ${dated(COMPARED[condition.op], condition.value)}`);
    case 'withinDays':
    case 'inNextDays': {
      const [operator, from, until] = daysOf(condition, context);
      return known(`${isDated()} and ${dated(operator, from)} and ${dated('<=', until)}`);
    }
    case 'contains':
    case 'startsWith':
      return known(
        `${ofType()} and ${compileText(`s.fields->>${parameter(key, 'text')}`, condition, context)}`,
      );
  }
}

/** A number of the field that compares so, and nothing but a number; to take the value out first took half as long again. */
function numberPath(
  key: string,
  { op, value }: { op: 'atLeast' | 'atMost' | 'above' | 'below'; value: number },
): string {
  return `strict $.${JSON.stringify(key)} ? (@ ${COMPARED[op]} ${JSON.stringify(value)})`;
}

/** Case is ignored for the letters A to Z, the same on every database whatever its locale. */
export function compileText(column: string, condition: FieldCondition, { parameter }: Context): string {
  const lower = (sql: string): string => `lower((${sql}) collate "C")`;
  switch (condition.op) {
    case 'is':
      return known(`${column} = ${parameter(condition.value, 'text')}`);
    case 'isNot':
      return known(`${column} <> ${parameter(condition.value, 'text')}`);
    case 'oneOf':
      return known(`${column} = any (${parameter(condition.value, 'text[]')})`);
    case 'contains':
      return known(`strpos(${lower(column)}, ${lower(parameter(condition.value, 'text'))}) > 0`);
    case 'startsWith':
      return known(`starts_with(${lower(column)}, ${lower(parameter(condition.value, 'text'))})`);
    case 'isSet':
      return `${column} is not null`;
    case 'atLeast':
    case 'atMost':
    case 'above':
    case 'below':
    case 'before':
    case 'after':
    case 'withinDays':
    case 'inNextDays':
      throw new Error(`a text cannot be asked ${condition.op}`);
  }
}

/** `not` of a null is null, and nobody with an empty field would be found. */
function known(sql: string): string {
  return `coalesce(${sql}, false)`;
}
