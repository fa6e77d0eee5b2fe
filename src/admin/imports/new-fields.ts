import { COLUMN_KEYS, type FieldDefinition, type FieldType } from '../../subscribers/field.js';
import { fieldKeyOf } from '../forms/own-key.js';

/** What a column may become that no field holds yet. Choices would have to be named first. */
export const NEW_FIELD_TARGETS: readonly { value: string; type: FieldType; label: string }[] = [
  { value: 'new:text', type: 'text', label: 'A new field of texts' },
  { value: 'new:number', type: 'number', label: 'A new field of numbers' },
  { value: 'new:date', type: 'date', label: 'A new field of dates' },
  { value: 'new:boolean', type: 'boolean', label: 'A new field of yes or no' },
];

const MAX_LABEL = 100;

interface NewFields {
  fields: FieldDefinition[];
  /** The form as if the fields were there. */
  typed: Record<string, string>;
  /** What is wrong with the header of a column, for there to be a field of it. */
  problem: string | null;
}

/**
 * The fields to make of columns, each named by its header; a key that is taken gets a number. A field of that label and type
 * that no column fills is the one that was wanted: it was made by the same form a moment ago, or there would be two that look alike.
 */
export function newFieldsIn(
  typed: Readonly<Record<string, string>>,
  headers: readonly string[],
  definitions: ReadonlyMap<string, FieldDefinition>,
): NewFields {
  const keys = new Set([...COLUMN_KEYS, ...definitions.keys()]);
  const filled = new Set(Object.values(typed));
  const fields: FieldDefinition[] = [];
  const now: Record<string, string> = { ...typed };
  for (const [index, header] of headers.entries()) {
    const target = NEW_FIELD_TARGETS.find(({ value }) => value === typed[`column.${index}`]);
    if (target === undefined) continue;
    const label = header.trim().slice(0, MAX_LABEL);
    const first = fieldKeyOf(label);
    if (first === '')
      return {
        ...{ fields: [], typed: now },
        problem: `No field can be named after the column “${label}”: give it a name of letters in the file, or make the field first.`,
      };
    const same = [...definitions.values()].find(
      (field) => field.label === label && field.type === target.type && !filled.has(`field:${field.key}`),
    );
    if (same !== undefined) {
      filled.add(`field:${same.key}`);
      now[`column.${index}`] = `field:${same.key}`;
      continue;
    }
    const key = freeKey(first, keys);
    keys.add(key);
    fields.push({ key, label, type: target.type, choices: [] });
    now[`column.${index}`] = `field:${key}`;
  }
  return { fields, typed: now, problem: null };
}

function freeKey(first: string, taken: ReadonlySet<string>): string {
  for (let number = 2, key = first; ; number += 1) {
    if (!taken.has(key)) return key;
    key = `${first.slice(0, 46)}${number}`;
  }
}
