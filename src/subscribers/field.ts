import { DomainError } from '../values/domain-error.js';

export const FIELD_TYPES = ['text', 'number', 'date', 'boolean', 'choice'] as const;
export type FieldType = (typeof FIELD_TYPES)[number];

/** What segments call the columns of every subscriber; own fields have other keys. */
export const COLUMN_KEYS = ['email', 'emailDomain', 'name', 'timeZone', 'locale'] as const;

/** One own field of subscribers, as the owner defined it. */
export interface FieldDefinition {
  key: string;
  label: string;
  type: FieldType;
  /** The values a `choice` may have; empty for the other types. */
  choices: string[];
}

/** The type of a field stays: the values that people have were checked by it. */
export function fieldTypeConflict({
  key,
  type,
}: Pick<FieldDefinition, 'key'> & { type: string }): DomainError {
  const message = `fields.${key}: the field is there already, of type ${type}; use that type, or another name`;
  return new DomainError('FIELD_TYPE_CONFLICT', message, { field: `fields.${key}` });
}

export type FieldValue = string | number | boolean;

type FieldCheck = { ok: true; value: FieldValue } | { ok: false; allowed: string };

const MAX_FIELD_TEXT = 1_000;
const DATE = /^(\d{4})-(\d{2})-(\d{2})$/;
const NUMBER = /^[+-]?(\d+(\.\d+)?|\.\d+)(e[+-]?\d{1,3})?$/i;
const YES: ReadonlySet<string> = new Set(['true', 'yes', 'y', '1', 'on']);
const NO: ReadonlySet<string> = new Set(['false', 'no', 'n', '0', 'off']);

/** Whether a value as JSON has it fits the field. Null, which empties a field, is the caller's. */
export function checkFieldValue({ type, choices }: FieldDefinition, value: unknown): FieldCheck {
  switch (type) {
    case 'text':
      if (typeof value === 'string' && value.length <= MAX_FIELD_TEXT && isStorable(value))
        return good(value);
      return bad(`a text of at most ${MAX_FIELD_TEXT} characters`);
    case 'number':
      return typeof value === 'number' && Number.isFinite(value) ? good(value) : bad('a number');
    case 'boolean':
      return typeof value === 'boolean' ? good(value) : bad('true or false');
    case 'date':
      return typeof value === 'string' && isDate(value) ? good(value) : bad('a date such as 2026-01-31');
    case 'choice':
      if (typeof value === 'string' && choices.includes(value)) return good(value);
      return bad(`one of ${choices.join(', ')}`);
  }
}

/**
 * A value as a table or a form has it: text, and never empty. Numbers have a point and no thousands separator, since
 * "1.234" means two things; a choice is found whatever its case.
 */
export function readFieldText(definition: FieldDefinition, text: string): FieldCheck {
  const trimmed = text.trim();
  const lower = trimmed.toLowerCase();
  switch (definition.type) {
    case 'text':
      return checkFieldValue(definition, text);
    case 'number':
      return NUMBER.test(trimmed)
        ? checkFieldValue(definition, Number(trimmed))
        : bad('a number such as 12.5');
    case 'boolean':
      if (YES.has(lower)) return good(true);
      return NO.has(lower) ? good(false) : bad('yes or no');
    case 'date':
      return checkFieldValue(definition, trimmed);
    case 'choice':
      return checkFieldValue(
        definition,
        definition.choices.find((choice) => choice.toLowerCase() === lower) ?? trimmed,
      );
  }
}

/** A day of the calendar, `2024-02-30` is none. */
export function isDate(text: string): boolean {
  const [, year = '', month = '', day = ''] = DATE.exec(text) ?? [];
  if (year === '') return false;
  const at = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
  return Number(year) >= 1 && at.getUTCMonth() === Number(month) - 1 && at.getUTCDate() === Number(day);
}

/** PostgreSQL keeps neither NUL nor half a character. */
export function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}

function good(value: FieldValue): FieldCheck {
  return { ok: true, value };
}

function bad(allowed: string): FieldCheck {
  return { ok: false, allowed };
}
